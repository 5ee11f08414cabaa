"""Estimates are fitted to what came true, and their error is what it is defined as."""

from __future__ import annotations

import numpy
import pytest

from covey.calibrate.estimates import estimates, fit
from covey.calibrate.observations import Observations
from covey.survival import calibration_error


def drawn(weights: tuple[float, ...], count: int = 20_000) -> Observations:
    """Features drawn at random, and right with the probability that these weights give."""
    chooser = numpy.random.default_rng(0)
    features = numpy.concatenate([numpy.ones((count, 1, 1)), chooser.normal(size=(count, 1, 3))], 2).astype(numpy.float32)
    p = 1 / (1 + numpy.exp(-(features @ numpy.array(weights))))
    return Observations(numpy.zeros(count, numpy.int32), features, chooser.random((count, 1)) < p)


def test_weights_are_found_again():
    (found,) = fit(drawn((0.5, 1.0, -0.7, 0.2)))
    assert found == pytest.approx((0.5, 1.0, -0.7, 0.2), abs=0.08)


def test_fitted_estimates_have_little_error_and_others_much():
    seen = drawn((0.5, 1.0, -0.7, 0.2))
    assert calibration_error(estimates(seen, fit(seen))[:, 0], seen.right[:, 0]) < 0.02
    assert calibration_error(estimates(seen, ((3.0, 0.0, 0.0, 0.0),))[:, 0], seen.right[:, 0]) > 0.2


def test_an_exit_that_is_never_right_is_estimated_low():
    seen = drawn((0.0, 0.0, 0.0, 0.0), 200)
    never = Observations(seen.text, seen.features, numpy.zeros_like(seen.right))
    assert estimates(never, fit(never)).max() < 0.3
