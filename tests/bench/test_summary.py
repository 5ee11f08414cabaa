"""From measurements to figures, on numbers that can be worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from covey.bench.measurement import Measurement
from covey.bench.summary import median_prompt_tokens, plain_across_batches, summarise
from tests.bench.samples import drafted, measurement

EVERYONE = {"plain", "fast", "transformers"}


def row(measurements: list[Measurement], method: str, task: str = "all", batch: int = 1) -> dict[str, Any]:
    (found,) = [r for r in summarise(measurements, EVERYONE) if (r["method"], r["task"], r["batch"]) == (method, task, batch)]
    return found


def three_groups() -> list[Measurement]:
    """Three prompts of two tasks, two repetitions; `fast` is 2, 1.5 and 1.2 times as fast as plain."""
    measurements = []
    for repetition, drift in enumerate((1.0, 3.0)):
        for i, (task, ratio) in enumerate((("qa", 2.0), ("qa", 1.5), ("code", 1.2))):
            place: dict[str, Any] = {"group": f"{task}/1/{i}", "task": task, "repetition": repetition}
            measurements.append(measurement("plain", 6.0 * drift, passes=drafted(4.0 * drift), **place))
            measurements.append(
                measurement("fast", 6.0 * drift / ratio, passes=drafted(2.0 * drift, drafts=2, drafted=6, accepted=3), **place)
            )
    return measurements


def test_speed_is_tokens_over_seconds() -> None:
    plain = row(three_groups(), "plain")
    assert plain["tokens"] == 6 * 4
    assert plain["tokens_per_second"] == pytest.approx(24 / 72)
    assert plain["tokens_per_second_by_repetition"] == pytest.approx([12 / 18, 12 / 54])
    assert plain["decode_tokens_per_second"] == pytest.approx(24 / 48)
    assert (plain["groups"], plain["prompts"], plain["repetitions"]) == (3, 3, 2)


def test_speedup_is_paired_so_that_drift_cancels() -> None:
    over_plain = row(three_groups(), "fast")["speedups"]["plain"]
    assert over_plain["end_to_end"]["median"] == pytest.approx(1.5)
    assert over_plain["end_to_end"]["by_repetition"] == pytest.approx([1.5, 1.5])
    assert (over_plain["end_to_end"]["low"], over_plain["end_to_end"]["high"]) == (pytest.approx(1.2), pytest.approx(2.0))
    assert over_plain["decode"]["median"] == pytest.approx(2.0)
    assert row(three_groups(), "fast", "code")["speedups"]["plain"]["end_to_end"]["median"] == pytest.approx(1.2)


def test_plain_is_not_compared_with_itself() -> None:
    assert row(three_groups(), "plain")["speedups"] == {}
    assert row(three_groups(), "plain")["texts_against_plain"] is None


def test_speculation_and_time_shares() -> None:
    fast = row(three_groups(), "fast", "code")
    assert fast["acceptance_rate"] == pytest.approx(3 / 6)
    assert fast["mean_accepted_length"] == pytest.approx(1 + 3 / 2)
    assert fast["tokens_per_pass"] == pytest.approx(1.0)
    assert fast["accepted_histogram"] == [0, 0, 0, 4]
    wall, decode = 5.0 + 15.0, 2.0 + 6.0
    assert fast["time_shares"] == pytest.approx(
        {"draft": 0.25 * decode / wall, "verify": 0.5 * decode / wall, "other": 1 - 0.75 * decode / wall}
    )


def test_loops_are_left_out_of_both_sides() -> None:
    """In the loop `fast` flies; before it, it is no faster than plain."""
    looped = [
        measurement("plain", 8.0, [[1] * 8], passes=drafted(8.0, 8, loop_free=4)),
        measurement("fast", 5.0, [[1] * 8], passes=drafted(5.0, 8, loop_free=4)),
    ]
    looped[1].answer.passes.loop_free.seconds = 4.0  # type: ignore[union-attr]
    fast = row(looped, "fast")
    assert fast["speedups"]["plain"]["decode"]["median"] == pytest.approx(8 / 5)
    assert fast["speedups"]["plain"]["decode_without_loops"]["median"] == pytest.approx(1.0)
    assert (fast["without_loops"]["sequences"], fast["without_loops"]["sequences_with_loop"]) == (1, 1)
    assert fast["without_loops"]["share_of_decoded_tokens"] == pytest.approx(0.5)


def test_a_text_that_is_all_loop_has_no_ratio_without_loops() -> None:
    looped = [measurement(name, passes=drafted(1.0, loop_free=0)) for name in ("plain", "fast")]
    assert row(looped, "fast")["speedups"]["plain"]["decode_without_loops"] is None
    assert row(looped, "fast")["without_loops"]["decode_tokens_per_second"] is None


def test_texts_are_compared_with_plain_of_the_same_unit() -> None:
    texts = [
        measurement("plain", outputs=[[1, 2, 3, 4]], group="qa/1/0"),
        measurement("fast", outputs=[[1, 2, 9, 4]], group="qa/1/0"),
        measurement("plain", outputs=[[5, 6, 7]], group="qa/1/1"),
        measurement("fast", outputs=[[5, 6, 7]], group="qa/1/1"),
    ]
    found = row(texts, "fast")["texts_against_plain"]
    assert (found["prompts"], found["differing_prompts"], found["tokens_compared"]) == (2, 1, 3 + 3)
    assert found["first_differences_per_1000_tokens"] == pytest.approx(1000 / 6)
    assert {r["texts_against_plain"] is None for r in summarise(texts, {"plain"}) if r["method"] == "fast"} == {True}


def test_a_peer_that_tells_little_leaves_gaps() -> None:
    found = row([measurement("plain"), measurement("llamacpp", 1.0, tell_ids=False)], "llamacpp")
    assert found["tokens_per_second"] == pytest.approx(4.0)
    assert found["speedups"]["plain"]["end_to_end"]["median"] == pytest.approx(2.0)
    for name in ("decode_tokens_per_second", "acceptance_rate", "tokens_per_pass", "time_shares", "without_loops", "texts_against_plain"):
        assert found[name] is None


def test_speedup_over_transformers_is_there_when_it_ran() -> None:
    found = [measurement("plain", 2.0), measurement("transformers", 4.0)]
    assert row(found, "plain")["speedups"]["transformers"]["end_to_end"]["median"] == pytest.approx(2.0)
    assert row(found, "transformers")["speedups"].keys() == {"plain"}


def test_batches_are_kept_apart() -> None:
    found = [
        measurement("plain", 4.0),
        measurement("plain", 4.0, [[1, 2], [3, 4]], batch=2, group="qa/2/0"),
        measurement("fast", 2.0),
        measurement("fast", 1.0, [[1, 2], [3, 4]], batch=2, group="qa/2/0"),
    ]
    assert row(found, "fast", batch=1)["speedups"]["plain"]["end_to_end"]["median"] == pytest.approx(2.0)
    assert row(found, "fast", batch=2)["speedups"]["plain"]["end_to_end"]["median"] == pytest.approx(4.0)


def test_plain_is_compared_across_batch_sizes_by_prompt() -> None:
    found = [
        measurement("plain", outputs=[[1, 2, 3, 4, 5]], group="qa/1/0"),
        measurement("plain", outputs=[[1, 2, 3, 4, 9]], group="qa/8/0", batch=8),
        measurement("fast", outputs=[[0]], group="qa/8/0", batch=8),
    ]
    (against,) = plain_across_batches(found)
    assert (against["batch"], against["against_batch"], against["differing_prompts"]) == (8, 1, 1)
    assert against["first_differences_per_1000_tokens"] == pytest.approx(200.0)


def test_prompt_lengths_count_each_prompt_once() -> None:
    assert median_prompt_tokens(three_groups()) == {"qa": 10, "code": 10}


def test_rows_are_json() -> None:
    assert json.loads(json.dumps(summarise(three_groups(), EVERYONE), allow_nan=False))
