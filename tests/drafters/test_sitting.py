"""A sitting of a vote: drafts that wait for a dear member share its pass."""

from __future__ import annotations

import pytest

from covey.drafters import CollectiveDrafter
from covey.drafters.guesser import Guess, Guesser
from covey.drafters.winnings import kind_of
from tests.drafters.members import Says, sequence
from tests.drafters.test_economy import ROUND

SURE, UNSURE = 0.95, 0.05


class _Lost(Guesser):
    """Says 7, and is sure of it but at one place of each draft, its sequence's number. A guess takes so long."""

    def __init__(self, seconds: float, now: list[float]) -> None:
        super().__init__()
        self.name, self.seconds, self.now, self.passes = "lost", seconds, now, 0

    def guess(self, growing):
        self.passes += 1
        self.now[0] += self.seconds
        return [Guess(7, UNSURE if len(draft.tokens) == draft.sequence.id else SURE) for draft in growing]


class _Slow(Says):
    """Notes who was asked at once, and after how many tokens."""

    def __init__(self, now: list[float]) -> None:
        super().__init__(8, estimate=0.5)
        self.now, self.asked = now, []

    def guess(self, growing):
        self.now[0] += 0.002
        self.asked.append([(draft.sequence.id, len(draft.tokens)) for draft in growing])
        return super().guess(growing)


@pytest.mark.parametrize(
    ("seconds", "passes", "asked"),
    [(0.00001, 8, [[(1, 1), (3, 3)]]), (0.001, 6, [[(1, 1)], [(3, 3)]])],
    ids=["the cheap one costs next to nothing: they wait", "it does not: they keep step"],
)
def test_drafts_wait_for_each_other_where_a_pass_is_worth_sharing(seconds, passes, asked):
    now = [0.0]
    lost, slow = _Lost(seconds, now), _Slow(now)
    collective = CollectiveDrafter([lost, slow], min_survival=0.0, clock=lambda: now[0])
    books = collective.economy("")
    for member, cost in enumerate((seconds, 0.002)):
        for _ in range(3):
            books.spent((member,), cost, guesses=1, sequences=1)
    for _ in range(200):
        books.observe(ROUND)
        books.winnings[1].learn(kind_of(UNSURE), 1)
        books.winnings[1].learn(kind_of(SURE), 0)
    drafts = collective.propose([sequence(1, 2, id=1), sequence(1, 2, id=3)], [6, 6])
    assert [draft.tokens for draft in drafts] == [(7, 8, 7, 7, 7, 7), (7, 7, 7, 8, 7, 7)]
    assert slow.asked == asked
    assert lost.passes == passes
