"""Probes have a hundredth of the time, and no more than two are saved up."""

from __future__ import annotations

import pytest

from covey.control.probes import Savings


def test_probes_have_a_hundredth_of_the_time():
    savings, spent = Savings(), 0.0
    for _ in range(10_000):
        savings.add(0.02)
        spent += 0.003 * savings.pay(0.003)
    assert spent == pytest.approx(0.01 * 10_000 * 0.02, rel=0.01)


def test_no_more_than_two_are_saved_up():
    savings = Savings()
    assert not savings.pay(0.003)
    savings.add(100.0)
    assert [savings.pay(0.003) for _ in range(5)] == [True, True, True, False, False]
