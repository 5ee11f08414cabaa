"""Going on while the target verifies: the draft that begins after what was sent, and a drafter that is none the worse for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from covey import SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, NestedDrafter, SuffixDrafter
from covey.types import Draft, Drafter, Host, Sequence, prefix_id_after
from tests.drafters.members import Says
from tests.exactness.drafters import ScriptedDrafter, untrained_draft

PROMPT = (5, 6, 7, 8, 5, 6, 7, 8, 5, 6)
EXACT = {"dtype": "float64", "device": "cpu"}
Make = Callable[[], Drafter]


@pytest.fixture
def make(request, tiny) -> Make:
    """A fresh drafter of a kind, bound."""
    path = str(tiny("llama"))

    def nested() -> Drafter:
        drafter = untrained_draft(path, "standalone", "float64")
        drafter.__class__ = NestedDrafter  # whose depths stay as they are
        return drafter

    kinds: dict[str, Make] = {
        "model": lambda: ModelDrafter(str(tiny("llama", seed=1, layers=1)), **EXACT),
        "nested": nested,
        "suffix": lambda: SuffixDrafter(min_survival=0.0),
        "token": lambda: CollectiveDrafter([SuffixDrafter(), ModelDrafter(path, **EXACT)], min_survival=0.0, thrifty=False),
        "mixture": lambda: CollectiveDrafter(
            [SuffixDrafter(), ModelDrafter(path, **EXACT)], vote="mixture", min_survival=0.0, thrifty=False
        ),
    }

    def made() -> Drafter:
        drafter = kinds[request.param]()
        tokenizer = next((d.tokenizer for d in (drafter, *members(drafter)) if hasattr(d, "tokenizer")), SimpleNamespace(fingerprint=""))
        drafter.bind(Host(tokenizer, 128, 256, 4, 1024, "cpu", "float64"))
        return drafter

    return made


def members(drafter: Drafter) -> list[Drafter]:
    return [member.drafter for member in getattr(drafter, "members", [])]


def text(number: int, *more: int) -> Sequence:
    sequence = Sequence(number, PROMPT, SamplingParams(max_tokens=200))
    sequence.commit(more)
    return sequence


def whole(make: Make, *more: int, length: int) -> Draft:
    """What a drafter that has seen nothing else drafts for a text."""
    drafter, sequence = make(), text(0, *more)
    drafter.start(sequence)
    return drafter.propose([sequence], [length])[0]


@pytest.mark.parametrize("make", ["model", "nested", "suffix", "token", "mixture"], indirect=True)
def test_it_is_the_rest_of_a_longer_draft(make):
    expected, drafter, sequence = whole(make, length=8), make(), text(0)
    assert drafter.drafts_ahead
    drafter.start(sequence)
    draft = drafter.propose([sequence], [3])[0]
    for length in (1, 2, 4):  # on and on
        ahead = drafter.propose_ahead([sequence], [3], [length])[0]
        assert ahead.tokens == expected.tokens[4 : 4 + length]
    assert draft.tokens == expected.tokens[:3]
    assert (ahead.start, ahead.prefix_id) == (len(PROMPT) + 4, prefix_id_after(sequence.prefix_id, expected.tokens[:4]))
    assert ahead.survival == pytest.approx([each / expected.survival[3] for each in expected.survival[4:]])


@pytest.mark.parametrize("make", ["model", "nested"], indirect=True)
def test_it_goes_on_from_a_text_that_came_true(make):
    drafter, sequence = make(), text(0)
    drafter.start(sequence)
    ahead = drafter.propose([sequence], [3])[0]
    for _ in range(3):
        draft = ahead
        ahead = drafter.propose_ahead([sequence], [len(draft)], [3])[0]
        known = whole(make, *sequence.output, length=len(draft) + 4)
        assert (draft.tokens, ahead.tokens) == (known.tokens[: len(draft)], known.tokens[len(draft) + 1 :])
        sequence.commit(known.tokens[: len(draft) + 1])
        drafter.commit(sequence, draft, len(draft))


@pytest.mark.parametrize("make", ["token", "mixture"], indirect=True)
def test_a_collective_goes_on_with_its_vote_and_scores_what_came(make):
    drafter, sequence = make(), text(0)
    drafter.start(sequence)
    draft = drafter.propose([sequence], [3])[0]
    ahead = drafter.propose_ahead([sequence], [3], [3])[0]
    assert len(ahead.votes) == len(ahead) == 3
    expected = whole(make, length=4).tokens
    sequence.commit(expected)
    drafter.commit(sequence, draft, 3)
    assert not ahead.stale(sequence)
    assert len(drafter.propose_ahead([sequence], [3], [2])[0]) == 2
    rates = drafter.ledger.standings[0].rates
    assert max(rates.of(0), rates.of(1)) > 0.5


@pytest.mark.parametrize("make", ["model", "nested", "suffix"], indirect=True)
@pytest.mark.parametrize("accepted", [0, 2, 3])
def test_a_text_that_did_not_come_true_leaves_no_trace(make, accepted):
    drafter, sequence = make(), text(0)
    drafter.start(sequence)
    draft = drafter.propose([sequence], [3])[0]
    ahead = drafter.propose_ahead([sequence], [3], [4])[0]
    wrong = next(token for token in range(20, 40) if token not in (*draft.tokens, *whole(make, length=4).tokens))
    sequence.commit([*draft.tokens[:accepted], wrong])
    drafter.commit(sequence, draft, accepted)
    assert ahead.stale(sequence)
    expected = whole(make, *sequence.output, length=5)
    assert drafter.propose([sequence], [5])[0].tokens == expected.tokens


def test_what_members_did_is_told_with_one_draft_each():
    """Three drafts, two of them written ahead and longer at every call; each guess takes a second of this clock."""
    ticks = itertools.count()
    one, other = Says(7), Says(8, estimate=0.1)
    collective = CollectiveDrafter([one, other], min_survival=0.0, thrifty=False, clock=lambda: float(next(ticks)))
    sequence = text(0)
    collective.start(sequence)
    told = collective.propose([sequence], [3])
    for _ in range(2):
        ahead = [collective.propose_ahead([sequence], [3], [length])[0] for length in (1, 3)]
        sequence.commit([7] * 4)
        collective.commit(sequence, told[-1], 3)
        told.append(ahead[-1])
    for number, member in enumerate((one, other)):
        assert [draft.members[number].asked for draft in told] == [3, 4, 4]
        assert [draft.members[number].spent for draft in told] == [3.0, 4.0, 4.0]
        assert len(member.seen) == 11


def test_who_cannot_is_not_asked():
    sequence_vote = CollectiveDrafter([SuffixDrafter(), ScriptedDrafter({})], vote="sequence")
    wholes = CollectiveDrafter([ScriptedDrafter({}), ScriptedDrafter({})])
    assert not any(drafter.drafts_ahead for drafter in (sequence_vote, wholes, ScriptedDrafter({})))
