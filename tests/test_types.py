"""Drafts know when they are stale; rounds survive JSON, those of older traces too."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from covey.sampling_params import SamplingParams
from covey.types import Contribution, Draft, Round, Sequence
from tests.drafters.test_economy import ROUND

MEMBERS = (Contribution("a", 0.5, 1.5, 2, 0.25, 0.125), Contribution("b", 0.4, 0.0, 0, 0.0))


def test_a_draft_for_another_text_of_the_same_length_is_stale():
    ours, other = Sequence(0, (1, 2), SamplingParams()), Sequence(1, (1, 3), SamplingParams())
    assert not Draft.empty(ours).stale(ours)
    assert Draft.empty(other).stale(ours)


def test_a_cut_draft_keeps_what_is_told_of_it():
    draft = Draft(2, 0, (5, 6), (0.9, 0.5), "a+b", (("a",), ("a", "b")), MEMBERS)
    assert draft.cut(1) == Draft(2, 0, (5,), (0.9,), "a+b", (("a",),), MEMBERS)


def test_a_round_survives_json():
    happened = replace(ROUND, votes=(("a", "b"),), members=MEMBERS)
    assert Round.from_dict(json.loads(json.dumps(happened.to_dict()))) == happened


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
