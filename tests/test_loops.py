"""Where a text begins to repeat itself."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.loops import MAX_PERIOD, MIN_LENGTH, MIN_TIMES, loop_start


def fresh(count: int, seed: int = 0) -> list[int]:
    """Tokens none of which occurs twice."""
    return random.Random(seed).sample(range(1000, 100_000), count)


@pytest.mark.parametrize("period", [1, 2, 7, 16, 32])
def test_a_loop_begins_with_its_second_round(period: int) -> None:
    before, loop = fresh(20), list(range(period))
    assert loop_start(before + loop * (1 + MIN_LENGTH * 3 // period)) == 20 + period


def test_a_text_without_repetition_has_no_loop() -> None:
    assert loop_start(fresh(500)) is None


def test_a_loop_must_be_long_enough() -> None:
    assert loop_start([5] * (MIN_LENGTH - 1)) is None
    assert loop_start([5] * MIN_LENGTH) == 1


def test_a_long_n_gram_must_come_three_times() -> None:
    loop = list(range(20))
    assert loop_start(loop * MIN_TIMES + [99]) == 20
    assert loop_start((loop * MIN_TIMES)[:-1]) is None


def test_a_longer_period_is_no_loop() -> None:
    assert loop_start(list(range(MAX_PERIOD + 1)) * 5) is None


def test_a_loop_that_ends_again_counts_from_its_start() -> None:
    assert loop_start(fresh(5) + [1, 2] * 20 + fresh(50, seed=1)) == 7


def test_the_first_of_two_loops_counts() -> None:
    assert loop_start([3] * 40 + fresh(10) + [1, 2] * 40) == 1


def test_an_interrupted_repetition_is_no_loop() -> None:
    text = [1, 2, 3, 4] * 20
    text[::11] = fresh(len(text[::11]))
    assert loop_start(text) is None


@given(
    before=st.lists(st.integers(0, 3), max_size=40),
    loop=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    after=st.lists(st.integers(0, 3)),
)
def test_a_planted_loop_is_cut_no_later_than_planted(before: list[int], loop: list[int], after: list[int]) -> None:
    tokens = before + loop * (1 + MIN_LENGTH) + after
    start = loop_start(tokens, max_period=8)
    assert start is not None
    assert start <= len(before) + len(loop)
    stretches = (tokens[start - p : start - p + max(MIN_LENGTH, MIN_TIMES * p)] for p in range(1, min(8, start) + 1))
    assert any(stretch[p:] == stretch[:-p] for p, stretch in enumerate(stretches, 1))
