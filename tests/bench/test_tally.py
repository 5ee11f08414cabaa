"""Sums over Rounds, and over a peer's passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from covey.bench.tally import Passes, Tally, from_passes, from_rounds
from covey.types import Round


def happened(step: int, tokens: tuple[int, ...], *, sequence: int = 0, **more: Any) -> Round:
    """A Round of a step that took 2 s of drafting, 5 of the target and 1 of the rest."""
    given = {
        "request_id": f"r{sequence}",
        "index": 0,
        "start": 0,
        "planned": 0,
        "drafted": (),
        "survival": (),
        "source": "",
        "accepted": 0,
        "prefilled": 0,
        "finish_reason": None,
        "step_sequences": 1,
        "step_tokens": 1,
        "step_draft_seconds": 2.0,
        "step_verify_seconds": 5.0,
        "step_other_seconds": 1.0,
    }
    return Round(step=step, sequence_id=sequence, tokens=tokens, **{**given, **more})


def test_reading_a_prompt_is_no_decoding() -> None:
    rounds = [happened(1, (), prefilled=9), happened(2, (7,), prefilled=3), happened(3, (8,)), happened(4, (9,))]
    passes = from_rounds(rounds)
    assert (passes.whole.seconds, passes.whole.tokens, passes.whole.passes) == (32.0, 3, 3)
    assert (passes.decode.seconds, passes.decode.tokens, passes.decode.passes) == (16.0, 2, 2)
    assert passes.decode.tokens_per_second == pytest.approx(2 / 16)
    assert (passes.draft_seconds, passes.verify_seconds) == (8.0, 20.0)


def test_a_step_in_which_another_sequence_reads_is_no_decoding() -> None:
    pair = {"step_sequences": 2}
    rounds = [happened(1, (1,), **pair), happened(1, (), sequence=1, prefilled=8, **pair)]
    rounds += [happened(2, (2,), **pair), happened(2, (3,), sequence=1, **pair)]
    passes = from_rounds(rounds)
    assert (passes.whole.seconds, passes.whole.tokens) == (16.0, 3)
    assert (passes.decode.seconds, passes.decode.tokens, passes.decode.passes) == (8.0, 2, 2)


def test_acceptance_counts_only_passes_with_a_draft() -> None:
    rounds = [
        happened(1, (1, 2, 3), drafted=(1, 2, 9, 9), accepted=2),
        happened(2, (4,)),
        happened(3, (5,), drafted=(8, 8), accepted=0),
        happened(4, (6, 7, 8), drafted=(6, 7), accepted=2),
    ]
    whole = from_rounds(rounds).whole
    assert (whole.drafts, whole.draft_tokens, whole.accepted_tokens) == (3, 8, 4)
    assert whole.acceptance_rate == pytest.approx(4 / 8)
    assert whole.mean_accepted_length == pytest.approx(1 + 4 / 3)
    assert whole.tokens_per_pass == pytest.approx(8 / 4)
    assert from_rounds(rounds).accepted_histogram == [1, 0, 2]


def test_rounds_from_where_a_loop_begins_are_left_out() -> None:
    fresh = [happened(i, (100 + i,)) for i in range(1, 6)]
    loop = [happened(6 + i, (1, 2), drafted=(1, 2), accepted=1) for i in range(20)]
    passes = from_rounds([*fresh, *loop])
    assert passes.looping == 1
    assert passes.decode.tokens == 45
    assert (passes.loop_free.tokens, passes.loop_free.drafts) == (7, 1)  # the first (1, 2) was still new
    assert passes.loop_free.seconds == 6 * 8.0


def test_a_round_that_reaches_into_a_loop_is_left_out() -> None:
    rounds = [happened(1, (100, 5, 5, 5)), *(happened(2 + i, (5,)) for i in range(40))]
    assert from_rounds(rounds).loop_free.tokens == 0


def test_a_loop_of_one_sequence_leaves_the_others_alone() -> None:
    rounds = []
    for step in range(40):
        rounds += [happened(step, (5,), step_sequences=2), happened(step, (100 + step,), sequence=1, step_sequences=2)]
    passes = from_rounds(rounds)
    assert passes.looping == 1
    assert passes.decode.tokens == 80
    assert passes.decode.seconds == 40 * 8.0
    assert passes.loop_free.tokens == 1 + 40
    assert passes.loop_free.seconds == 41 * 4.0


def test_a_peers_first_pass_reads_the_prompt() -> None:
    passes = from_passes([[7, 8, 9, 10]], [(1, 4.0), (3, 6.0), (4, 7.0)])
    assert (passes.whole.tokens, passes.whole.passes, passes.whole.seconds) == (4, 3, 7.0)
    assert (passes.decode.tokens, passes.decode.passes, passes.decode.seconds) == (3, 2, 3.0)
    assert passes.whole.acceptance_rate is None
    assert passes.whole.mean_accepted_length is None


def test_a_peers_sequence_that_has_ended_takes_no_part() -> None:
    passes = from_passes([[7], [7, 8, 9]], [(1, 1.0), (2, 2.0), (3, 4.0)])
    assert (passes.whole.tokens, passes.whole.passes) == (4, 4)
    assert (passes.decode.tokens, passes.decode.seconds) == (2, 3.0)


def test_a_peers_loop_is_left_out() -> None:
    passes = from_passes([[100, *[5] * 40]], [(i + 1, float(i + 1)) for i in range(41)])
    assert passes.looping == 1
    assert passes.loop_free.tokens == 1
    assert passes.decode.tokens == 40


def test_sums_add_and_what_one_does_not_know_is_known_of_neither() -> None:
    known = Tally(1.0, 10, 5, 2, 8, 4)
    total = Tally()
    total.add(known)
    total.add(Tally())  # an empty sum says nothing
    total.add(known)
    assert total == Tally(2.0, 20, 10, 4, 16, 8)
    total.add(Tally(1.0, 1, 1))
    assert (total.tokens, total.drafts, total.acceptance_rate) == (21, None, None)


def test_passes_add_and_survive_json() -> None:
    one = from_rounds([happened(1, (1, 2), drafted=(1,), accepted=1)])
    two = from_rounds([happened(1, (1,), drafted=(3, 4), accepted=0), happened(2, (5, 6, 7), drafted=(5, 6), accepted=2)])
    total = Passes()
    total.add(one)
    total.add(two)
    assert total.whole == Tally(24.0, 6, 3, 3, 5, 3)
    assert total.accepted_histogram == [1, 1, 1]
    assert (total.draft_seconds, total.verify_seconds) == (6.0, 15.0)
    assert Passes.from_dict(json.loads(json.dumps(total.to_dict()))) == total


def test_an_empty_sum_has_no_rates() -> None:
    empty = Tally()
    assert [empty.tokens_per_second, empty.tokens_per_pass, empty.acceptance_rate, empty.mean_accepted_length] == [None] * 4
