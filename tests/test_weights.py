"""Weights: what each policy makes of hits and misses, and that who won does not matter."""

from __future__ import annotations

import random

import pytest

from covey.weights import POLICIES, Confidence, Hedge, HitRates, LogOdds, Multiplicative, log_odds_weight


def feed(weights, hits, member=0, estimate=0.5):
    for hit in hits:
        weights.record(member, hit, estimate)
    return weights


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "uniform"])
def test_a_member_that_hits_counts_for_more_than_one_that_misses(name):
    weights = POLICIES[name]().begin([0.5, 0.5])
    feed(weights, [True] * 6, 0)
    feed(weights, [False] * 6, 1)
    assert weights.of(0, 0.5) > weights.of(1, 0.5) >= 0


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "uniform"])
def test_a_change_of_task_is_followed_within_eight_rounds(name):
    """Two members swap their hit rates; each round shows about two positions."""
    weights = POLICIES[name]().begin([0.5, 0.5])
    chooser = random.Random(0)
    for _ in range(60):
        weights.record(0, chooser.random() < 0.8, 0.5)
        weights.record(1, chooser.random() < 0.2, 0.5)
    assert weights.of(0, 0.5) > weights.of(1, 0.5)
    trials = 0
    while weights.of(1, 0.5) <= weights.of(0, 0.5):
        weights.record(0, chooser.random() < 0.2, 0.5)
        weights.record(1, chooser.random() < 0.8, 0.5)
        trials += 1
    assert trials <= 24


def test_uniform_never_changes():
    weights = feed(POLICIES["uniform"]().begin([0.1, 0.9]), [True] * 5)
    assert weights.of(0, 0.1) == weights.of(1, 0.9) == 1.0


def test_the_multiplicative_policy_keeps_within_its_bounds():
    weights = Multiplicative(factor=2.0, bounds=(0.25, 4.0)).begin([0.5])
    assert feed(weights, [True] * 9).of(0, 0.5) == 4.0
    assert feed(weights, [False] * 9).of(0, 0.5) == 0.25
    with pytest.raises(ValueError, match=r"factor=1\.0"):
        Multiplicative(factor=1.0)


def test_hedge_is_exponential_in_the_difference_of_losses():
    from math import exp

    weights = Hedge(rate=0.5, memory=1e9).begin([0.5, 0.5])
    feed(weights, [False] * 4, 1)
    assert weights.of(0, 0.5) == 1.0
    assert weights.of(1, 0.5) == pytest.approx(exp(-2.0))


def test_log_odds_are_those_of_the_estimated_rate_and_never_negative():
    assert log_odds_weight(0.5, 20) == pytest.approx(2.9957, abs=1e-3)
    assert log_odds_weight(0.01, 20) == 0.0
    weights = feed(LogOdds(plausible=20).begin([0.5]), [True] * 8)
    assert weights.of(0, 0.0) > log_odds_weight(0.5, 20)


def test_confidence_believes_a_member_as_far_as_it_was_right():
    honest, boaster = (feed(Confidence().begin([0.5]), hits, estimate=0.9) for hits in ([True] * 9 + [False], [False, True] * 5))
    assert honest.of(0, 0.9) > boaster.of(0, 0.9)
    assert honest.corrected(0, 0.9) == pytest.approx(0.9, abs=0.03)
    assert boaster.corrected(0, 0.9) < 0.7


def test_hit_rates_start_from_the_prior_and_forget():
    rates = HitRates([0.3], prior_trials=8, memory=16)
    assert rates.of(0) == pytest.approx(0.3)
    for _ in range(200):
        rates.record(0, True)
    assert rates.of(0) > 0.7
    for _ in range(30):
        rates.record(0, False)
    assert rates.of(0) < 0.4


def test_an_estimate_does_not_depend_on_who_won():
    """Positions are censored where a member's prefix is not the committed one; which member's draft was taken changes what is
    seen of it, not the rate at which it is seen to hit."""
    found = []
    for winner in (0, 1):
        chooser, rates = random.Random(3), HitRates([0.5, 0.5], memory=1e9)
        for _ in range(6000):
            hits = [[chooser.random() < rate for _ in range(4)] for rate in (0.7, 0.4)]
            # The draft is the winner's; both guess at every position after the drafted tokens while these stand.
            for position in range(4):
                for member in (0, 1):
                    rates.record(member, hits[member][position])
                if not hits[winner][position]:
                    break
        found.append([rates.of(0), rates.of(1)])
    for rate, one, other in zip((0.7, 0.4), *found, strict=True):
        assert one == pytest.approx(rate, abs=0.02)
        assert other == pytest.approx(rate, abs=0.02)
