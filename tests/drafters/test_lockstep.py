"""A vote in lockstep: who is led along it, and who is heard."""

from __future__ import annotations

from covey.drafters import CollectiveDrafter
from tests.drafters.members import Says, Whole, propose, sequence


def test_members_are_led_along_the_vote():
    members = [Says(7), Says(7), Says(8)]
    draft = propose(CollectiveDrafter(members, weights="uniform", min_survival=0.0), sequence(1, 2))
    assert draft.tokens == (7, 7, 7)
    assert draft.votes == (("says 7", "says 7"),) * 3
    assert members[2].seen == [(), (7,), (7, 7)]


def test_a_member_that_cannot_be_led_is_heard_while_the_vote_follows_it():
    collective = CollectiveDrafter([Says(7), Whole(7, 9, 9), Whole(8, 8, 8)], weights="uniform", min_survival=0.0)
    draft = propose(collective, sequence(1, 2))
    assert draft.tokens == (7, 7, 7)  # at the second token the vote is a tie, which the first member decides
    assert draft.votes == (("says 7", "whole (7, 9, 9)"), ("says 7",), ("says 7",))
