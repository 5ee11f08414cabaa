"""Where a learning curve is heading."""

from __future__ import annotations

import pytest

from covey.train.curves import agreement_points, extrapolated


def test_a_straight_line_over_the_logarithm_goes_on():
    points = [(1000.0 * 2**i, 0.1 + 0.03 * i) for i in range(8)]
    assert extrapolated(points, further=4.0) == pytest.approx(0.1 + 0.03 * 9)


def test_only_the_second_half_says_where_it_is_heading():
    points = [(1000.0 * 2**i, 0.0) for i in range(4)] + [(16000.0 * 2**i, 0.5) for i in range(4)]
    assert extrapolated(points) == pytest.approx(0.5)


def test_an_agreement_is_a_share_and_a_few_points_are_no_curve():
    assert extrapolated([(10.0**i, 0.3 * i) for i in range(1, 5)]) == 1.0
    assert extrapolated([(10.0, 0.1), (20.0, 0.2), (30.0, 0.3)]) is None


def test_points_are_those_of_the_log():
    log = [{"step": 10, "loss": 3.0}, {"step": 10, "eval_agreement_2": 0.25}, {"step": 20, "eval_agreement_2": 0.5}]
    assert agreement_points(log, "eval_agreement_2", 100.0) == [(1000.0, 0.25), (2000.0, 0.5)]
