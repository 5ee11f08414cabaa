"""Hit rates by kind: a prior that gives way, and recent trials that weigh more."""

from __future__ import annotations

import random

import pytest

from covey.drafters.hits import Corrections, HitTable, logistic_prior


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_table_converges_to_the_rate(rate: float) -> None:
    table, chance = HitTable([0.5]), random.Random(1)
    for _ in range(3_000):
        table.record(0, chance.random() < rate)
    assert table.probability(0) == pytest.approx(rate, abs=0.08)  # 512 trials: three standard errors, and the prior's share


def test_the_table_follows_a_change() -> None:
    table = HitTable([0.5], memory=100)
    for _ in range(5_000):
        table.record(0, True)
    for _ in range(500):
        table.record(0, False)
    assert table.probability(0) < 0.15


def test_without_trials_the_prior_stands_and_kinds_are_apart() -> None:
    table = HitTable([0.3, 0.8])
    for _ in range(50):
        table.record(0, True)
    assert table.probability(0) > 0.7
    assert table.probability(1) == pytest.approx(0.8)


def test_log_odds_of_classes_add_up_and_the_last_varies_fastest() -> None:
    assert logistic_prior((0.0, 2.0), (0.0, -2.0, 1.0)) == pytest.approx([0.5, 0.1192, 0.7311, 0.8808, 0.5, 0.9526], abs=1e-4)


def test_corrections_shift_a_kind_and_keep_the_order_within_it() -> None:
    corrections, chance = Corrections(), random.Random(1)
    for _ in range(3_000):
        corrections.record("liar", 0.6, chance.random() < 0.2)
    assert corrections.of("liar", 0.6) == pytest.approx(0.2, abs=0.08)
    assert corrections.of("liar", 0.5) < corrections.of("liar", 0.55) < corrections.of("liar", 0.6)
    assert corrections.of("stranger", 0.6) == pytest.approx(0.6)


def test_a_corrected_estimate_stays_a_probability() -> None:
    corrections = Corrections()
    for _ in range(1_000):
        corrections.record("modest", 0.3, True)
        corrections.record("boastful", 0.7, False)
    assert 0 < corrections.of("boastful", 0.1) < corrections.of("modest", 0.9) < 1
