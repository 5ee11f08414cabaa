"""What a collective learns: everybody is scored, whoever won, and the draft tells how everybody fares."""

from __future__ import annotations

import itertools

import pytest

from covey.drafters import CollectiveDrafter
from covey.drafters.collective import VOTES
from covey.drafters.ledger import Asked, Cast, Ledger, Voted
from covey.weights import POLICIES
from tests.drafters.members import Says, Whole, propose, sequence


@pytest.mark.parametrize("vote", VOTES)
def test_every_member_is_scored_up_to_the_first_wrong_token_of_the_vote(vote):
    """The text goes 7, 9: at the first position all are scored, at the second those that went on from 7."""
    collective = CollectiveDrafter([Whole(7, 7), Whole(8, 9), Whole(7, 9)], vote=vote, weights="log_odds", min_survival=0.0)
    text = sequence(1, 2)
    draft = propose(collective, text, 2)
    assert draft.tokens == (7, 7)
    text.commit([7, 9, 5])
    collective.commit(text, draft, 1)
    rates = collective.ledger.standings[0].rates
    assert rates.trials == pytest.approx([2, 1, 2], abs=0.1)  # old trials weigh a little less
    assert rates.of(2) > rates.of(0) > rates.of(1)


def test_a_guesser_learns_at_positions_where_it_lost():
    loser = Says(8)
    collective = CollectiveDrafter([Says(7), Says(7), loser], weights="uniform", min_survival=0.0)
    text = sequence(1, 2)
    draft = propose(collective, text, 3)
    text.commit([7, 8])
    collective.commit(text, draft, 1)
    assert loser.told == [(8, 7), (8, 8)]


def test_the_one_that_is_right_is_followed_soon():
    collective = CollectiveDrafter([Says(7), Says(7), Says(8)], min_survival=0.0)
    text = sequence(1, 2)
    rounds = 0
    while (draft := propose(collective, text, 2)).tokens[:1] != (8,):
        text.commit([8])
        collective.commit(text, draft, 0)
        rounds += 1
    assert 0 < rounds <= 8


def test_a_guess_that_loses_goes_along_as_a_branch_and_is_judged_by_what_comes():
    collective = CollectiveDrafter([Says(7, estimate=0.6), Says(8, estimate=0.5)], min_survival=0.0)
    text = sequence(1, 2)
    first = propose(collective, text, 1)
    assert first.tokens == (7,)
    assert [(branch.place, branch.token, branch.votes) for branch in first.branches] == [(0, 8, ("says 8",))]
    assert first.branches[0].survival == pytest.approx(0.4)  # right at most where the other is wrong
    for _ in range(200):
        draft = propose(collective, text, 1)
        text.commit([7])
        collective.commit(text, draft, 1)
    assert draft.branches[0].survival < 0.15


def test_where_branches_are_not_verified_nobody_thinks_of_them():
    collective = CollectiveDrafter([Says(7), Says(8)], min_survival=0.0)
    collective.ledger.branches = False
    assert propose(collective, sequence(1, 2), 2).branches == ()


@pytest.mark.parametrize(("weights", "heeded"), [("log_odds", "says 8"), ("uniform", "says 7")])
def test_kin_do_not_outvote_a_stranger_that_is_right_more_often(weights, heeded):
    kin, stranger = [Says(7, estimate=0.4) for _ in range(3)], Says(8, estimate=0.5)
    collective = CollectiveDrafter([*kin, stranger], weights=weights, min_survival=0.0)
    text = sequence(1, 2)
    for step in range(120):
        draft = propose(collective, text, 1)
        text.commit([8 if step % 2 else 7 if step % 8 == 0 else 5])  # the stranger is right in half, the kin in an eighth
        collective.commit(text, draft, 0)
    assert set(propose(collective, text, 1).votes[0]) == {heeded}


def test_a_draft_ends_where_it_is_unlikely_and_returns_when_it_would_succeed():
    collective = CollectiveDrafter([Says(7, estimate=0.6)], min_survival=0.3)
    text, lengths = sequence(1, 2), []
    for step in range(900):
        draft = propose(collective, text, 3)
        lengths.append(len(draft))
        text.commit([5] if 20 <= step < 300 else [*draft.tokens, 7])
        collective.commit(text, draft, 0)
    assert max(lengths[:20]) >= 2
    assert lengths[299] == 0
    assert lengths[-1] == 3


def test_a_draft_tells_what_members_weigh_and_what_they_took():
    ticks = itertools.count()
    collective = CollectiveDrafter([Says(7), Says(7), Says(8)], weights="log_odds", min_survival=0.0, clock=lambda: float(next(ticks)))
    text = sequence(1, 2)
    for _ in range(10):
        draft = propose(collective, text, 2)
        text.commit([8])
        collective.commit(text, draft, 0)
    seven, _, eight = draft.members
    assert (seven.name, eight.name) == ("says 7", "says 8")
    assert eight.weight > seven.weight >= 0
    assert eight.spent == 2.0  # a second of this clock for each of two guesses


@pytest.mark.parametrize("floor", [None, 0.9])
def test_what_would_have_come_true_is_learned_though_it_was_not_sent(floor):
    """The second member was asked, and its 7 came true where 8 would have been drafted; with a floor of 0.9 it is not worth being sent."""
    ledger, text, kind = Ledger(("a", "b"), POLICIES["confidence"](), 0.0), sequence(1, 2), 4
    ledger.heed(floor, 0.0)
    ledger.begin(text)
    before = ledger.economy(text.target).winnings[1].gain(kind)
    draft = ledger.open(text, 2)
    mine, theirs = Cast(0, 8, 0.3), Cast(1, 7, 0.6)
    ledger.standings[text.id].asked.append(Asked(1, kind, place=0, before=(8,), after=(7,)))
    ledger.write(draft, [mine, theirs], Voted(7, (theirs,), 0.6))
    assert draft.done == (floor is not None)  # it ends with what is not worth its place
    text.commit([7, 5])
    ledger.advance(text)
    assert ledger.economy(text.target).winnings[1].gain(kind) > before
