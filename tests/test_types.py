"""Drafts know when they are stale; rounds survive JSON, those of older traces too."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from covey.sampling_params import SamplingParams
from covey.types import Branch, Contribution, Draft, Round, Sequence
from tests.drafters.test_economy import ROUND

MEMBERS = (Contribution("a", 0.5, 1.5, 2, 0.25, 0.125), Contribution("b", 0.4, 0.0, 0, 0.0))


def test_a_draft_for_another_text_of_the_same_length_is_stale():
    ours, other = Sequence(0, (1, 2), SamplingParams()), Sequence(1, (1, 3), SamplingParams())
    assert not Draft.empty(ours).stale(ours)
    assert Draft.empty(other).stale(ours)


def test_a_cut_draft_keeps_what_is_told_of_it():
    draft = Draft(2, 0, (5, 6), (0.9, 0.5), "a+b", (("a",), ("a", "b")), MEMBERS)
    assert draft.cut(1) == Draft(2, 0, (5,), (0.9,), "a+b", (("a",),), MEMBERS)


BRANCHED = Draft(2, 0, (5, 6, 7), (0.9, 0.5, 0.1), branches=(Branch(0, 8, 0.05), Branch(1, 9, 0.3, ("b",)), Branch(3, 5, 0.1)))


@pytest.mark.parametrize(
    ("size", "tokens", "branches"),
    [(0, 0, ()), (1, 1, ()), (2, 2, ()), (3, 2, (1,)), (4, 3, (1,)), (5, 3, (1, 2)), (6, 3, (0, 1, 2)), (9, 3, (0, 1, 2))],
)
def test_what_is_left_of_a_draft_with_branches_is_likeliest(size, tokens, branches):
    """A branch never stands without what is drafted before it: of equals that comes first."""
    cut = BRANCHED.cut(size)
    assert (cut.tokens, cut.branches) == (BRANCHED.tokens[:tokens], tuple(BRANCHED.branches[number] for number in branches))
    assert cut.size == min(size, 6)


def test_a_shortened_draft_keeps_the_branches_that_need_no_more():
    assert [branch.place for branch in BRANCHED.shortened(1).branches] == [0, 1]
    assert BRANCHED.shortened(3) == BRANCHED


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        (Branch(3, 8, 0.1), "place 3 of 2 tokens"),
        (Branch(-1, 8, 0.1), "place -1 of 2 tokens"),
        (Branch(1, 6, 0.1), "token 6: that is the draft's own there"),
        (Branch(1, 8, 0.95), "survival 0.95: it cannot be higher"),
    ],
)
def test_a_branch_that_cannot_be_is_refused(branch, message):
    with pytest.raises(ValueError, match=message):
        Draft(2, 0, (5, 6), (0.9, 0.5), branches=(branch,))


def test_a_round_tells_who_was_for_what_came_of_a_branch():
    branches = (Branch(1, 9, 0.3, ("b",)), Branch(0, 8, 0.1, ("c",)))
    voted = {"votes": (("a",), ("a",)), "survival": (0.9, 0.5), "members": MEMBERS}
    happened = replace(ROUND, drafted=(5, 6), accepted=1, branched=1, tokens=(5, 9, 4), branches=branches, **voted)
    assert happened.winners == (("a",), ("b",))
    assert [came for _, came in happened.fates] == [True, False, True, False]
    assert (happened.sent, happened.won) == (4, 2)


def test_a_round_survives_json():
    happened = replace(ROUND, votes=(("a", "b"),), members=MEMBERS, branches=(Branch(0, 8, 0.25, ("b",)),))
    again = Round.from_dict(json.loads(json.dumps(happened.to_dict())))
    assert again == happened and again.branches[0].token == 8


def test_a_round_of_a_trace_with_lists_for_members_is_read():
    told = replace(ROUND, members=MEMBERS).to_dict()
    del told["members"]
    lists = {"records": "record", "asked": "asked", "weights": "weight", "spent": "spent"}
    told |= {name: [[member.name, getattr(member, field)] for member in MEMBERS] for name, field in lists.items()}
    members = tuple(replace(member, ventured=0.0) for member in MEMBERS)
    assert Round.from_dict(json.loads(json.dumps(told))) == replace(ROUND, members=members)
    assert Round.from_dict(ROUND.to_dict() | {"records": []}) == ROUND


def test_a_field_that_no_round_has_is_refused():
    with pytest.raises(ValueError, match=r"unknown fields in a round: \['colour'\]"):
        Round.from_dict(ROUND.to_dict() | {"colour": "red"})


def test_whoever_has_no_members_is_for_its_own_tokens():
    assert replace(ROUND, source="suffix").voters == (("suffix",),)
    assert replace(ROUND, votes=(("a", "b"),)).voters == (("a", "b"),)
