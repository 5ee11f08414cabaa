"""Drafters that guess token by token: where a draft ends, and what is read again of one that was trimmed."""

from __future__ import annotations

import pytest

from covey.drafters.guesser import Growing, Guess, Guesser
from covey.sampling_params import SamplingParams
from covey.types import Sequence


class CountsOn(Guesser):
    """Guesses the next number, after having read all that stands before it, as a model must: at least one token each time."""

    name = "counts on"

    def __init__(self, probability: float = 0.5, min_survival: float = 0.0, others: tuple[tuple[int, float], ...] = ()) -> None:
        super().__init__()
        self.min_survival, self._probability, self._others = min_survival, probability, others
        self.read: dict[int, int] = {}

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        return [self._next(draft) for draft in growing]

    def _next(self, draft: Growing) -> Guess:
        unseen = draft.unseen(self.read.get(draft.sequence.id, 0))
        assert unseen, "a model that is given nothing to read has nothing to say"
        self.read[draft.sequence.id] = draft.start + len(draft.tokens)
        return Guess(unseen[-1] + 1, self._probability, others=self._others)

    def rewind(self, sequence: Sequence, length: int) -> None:
        self.read[sequence.id] = min(self.read.get(sequence.id, 0), length)


def sequence() -> Sequence:
    return Sequence(1, (3, 4, 5), SamplingParams(max_tokens=100))


@pytest.mark.parametrize(("floor", "length"), [(None, 1), (0.0, 8), (0.3, 2), (0.5, 2), (0.51, 1), (0.1, 4)])
def test_the_guess_that_falls_under_the_floor_is_the_last(floor: float | None, length: int) -> None:
    """Survival is 0.5, 0.25, 0.125, ...; alone the drafter leaves out what falls under 0.3."""
    drafter = CountsOn(min_survival=0.3)
    drafter.heed(floor, 0.0)
    (draft,) = drafter.propose([sequence()], [8])
    assert draft.tokens == tuple(range(6, 6 + length))


@pytest.mark.parametrize(("floor", "kept"), [(None, [(0, 90), (0, 91)]), (0.2, [(0, 90), (0, 91), (1, 90), (1, 91), (2, 90), (2, 91)])])
def test_what_else_may_come_becomes_branches(floor: float | None, kept: list[tuple[int, int]]) -> None:
    """Where no controller sets a floor a branch must be as likely to survive as a token of the draft."""
    drafter = CountsOn(min_survival=0.2, others=((90, 0.3), (91, 0.25)))
    drafter.heed(floor, 0.0)
    (draft,) = drafter.propose([sequence()], [8])
    assert [(branch.place, branch.token) for branch in draft.branches] == kept
    assert [branch.survival for branch in draft.branches[:2]] == [0.3, 0.25]


def test_branches_of_a_draft_that_goes_on_stand_where_it_is_supposed_to_begin() -> None:
    drafter, text = CountsOn(0.8, others=((90, 0.1),)), sequence()
    (draft,) = drafter.propose([text], [2])
    (ahead,) = drafter.propose_ahead([text], [2], [2])
    assert [branch.place for branch in draft.branches] == [branch.place for branch in ahead.branches] == [0, 1]
    assert [branch.survival for branch in ahead.branches] == pytest.approx([0.1, 0.08])
    text.commit((6, 7, 8))
    drafter.commit(text, draft, 2)
    (after,) = drafter.propose_ahead([text], [0], [1])
    assert [branch.place for branch in after.branches] == [0]


@pytest.mark.parametrize("written", [1, 2, 3, 4])
@pytest.mark.parametrize("sent", [0, 1, 2])
def test_a_draft_that_was_trimmed_and_came_true_leaves_something_to_read(written: int, sent: int) -> None:
    """The target itself wrote the token after what was sent, and it was the one that had been drafted."""
    drafter, text = CountsOn(), sequence()
    (draft,) = drafter.propose([text], [written])
    sent = min(sent, written)
    text.commit(tuple(range(6, 6 + sent + 1)))
    drafter.commit(text, draft.cut(sent), sent)
    assert drafter.read[text.id] < len(text.tokens)
    (after,) = drafter.propose([text], [2])
    assert after.tokens == (text.tokens[-1] + 1, text.tokens[-1] + 2)


def test_what_was_read_of_a_wrong_guess_is_read_anew() -> None:
    drafter, text = CountsOn(), sequence()
    (draft,) = drafter.propose([text], [4])
    text.commit((6, 20))
    drafter.commit(text, draft.cut(2), 1)
    assert drafter.read[text.id] == 4
    (after,) = drafter.propose([text], [1])
    assert after.tokens == (21,)
