"""Medians of paired ratios and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from covey.bench.pairs import paired_ratio


def test_median_interval_and_spread() -> None:
    found = paired_ratio([[1.0, 1.2], [1.4, 1.6], [1.8, 2.0]])
    assert found is not None
    assert found["median"] == pytest.approx(1.5)
    assert found["by_repetition"] == pytest.approx([1.4, 1.6])
    assert (found["groups"], found["pairs"]) == (3, 6)
    assert 1.0 <= found["low"] < 1.5 < found["high"] <= 2.0


def test_one_group_gives_no_interval() -> None:
    found = paired_ratio([[1.0, 1.5, 2.0]])
    assert found is not None
    assert (found["median"], found["low"], found["high"]) == (1.5, None, None)


def test_missing_ratios_are_left_out() -> None:
    found = paired_ratio([[2.0, None], [None, None], [4.0, 4.0]])
    assert found is not None
    assert (found["median"], found["groups"], found["pairs"]) == (4.0, 2, 3)
    assert found["by_repetition"] == [3.0, 4.0]


@pytest.mark.parametrize("nothing", [[], [[]], [[None]]])
def test_nothing_gives_nothing(nothing: list[list[float | None]]) -> None:
    assert paired_ratio(nothing) is None


def test_repetitions_of_one_text_do_not_narrow_the_interval() -> None:
    once = [[1.0], [1.2], [1.4], [1.6], [1.8]]
    often = [group * 20 for group in once]
    few, many = paired_ratio(once), paired_ratio(often)
    assert few is not None
    assert many is not None
    assert many["high"] - many["low"] == pytest.approx(few["high"] - few["low"], abs=0.21)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 experiments of 25 log-normal ratios: 95 % coverage means 176 to 199 hits in all but 1 of 10,000 runs."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = paired_ratio([[ratio] for ratio in np.exp(generator.normal(0.2, 0.3, size=25))])
        assert found is not None
        hits += found["low"] <= np.exp(0.2) <= found["high"]
    assert 176 <= hits <= 199
