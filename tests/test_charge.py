"""What drafting is charged: all of it where it is waited for, what it slows where it is not."""

from __future__ import annotations

import pytest

from covey.charge import Charge


def learned(steps: int, drafting: float, hidden: float, passes: float, beside: float, expected: float) -> Charge:
    charge = Charge()
    for _ in range(steps):
        charge.observe(drafting, hidden, passes)
        charge.alone(passes, beside, lambda: expected)
    return charge


def test_what_is_waited_for_is_charged_whole_to_the_last_bit() -> None:
    charge = learned(200, 0.0123, 0.0, 0.0977, 0.0, 0.1)
    assert charge.seconds(0.0123, 0.0977) == 0.0123
    assert charge.relieved(0.0977, 0.0123) == 0.0977
    assert charge.share(0.0123, 0.0977) == 1.0
    assert charge.alone(0.0977, 0.0, lambda: 0.1) == 0.0977


def test_what_is_hidden_and_slows_nothing_is_free_up_to_the_length_of_a_pass() -> None:
    charge = learned(1000, 0.02, 0.02, 0.1, 0.02, 0.1)
    assert charge.seconds(0.05, 0.1) == pytest.approx(0.0, abs=3e-4)
    assert charge.seconds(0.3, 0.1) == pytest.approx(0.2, abs=1e-3)
    assert charge.share(0.05, 0.1) == pytest.approx(0.0, abs=0.01)
    assert charge.share(0.3, 0.1) == 1.0


def test_a_pass_that_grows_by_all_that_is_drafted_beside_it_makes_nothing_cheaper() -> None:
    charge = learned(1000, 0.02, 0.02, 0.12, 0.02, 0.1)
    assert charge.seconds(0.05, 0.1) == pytest.approx(0.05, abs=1e-3)


def test_half_of_the_guesses_ahead_hide_half() -> None:
    charge = Charge()
    for step in range(1000):
        charge.observe(0.02, 0.02 * (step % 2), 0.1)
    assert charge.seconds(0.02, 0.1) == pytest.approx(0.01, abs=1e-3)


def test_little_is_believed_at_first() -> None:
    assert learned(1, 0.02, 0.02, 0.1, 0.02, 0.1).credit < 0.25


@pytest.mark.parametrize(("passes", "alone"), [(0.11, None), (0.09, 0.09), (0.15, 0.13)])
def test_a_slower_pass_is_put_down_to_drafting_as_far_as_that_can_be(passes: float, alone: float | None) -> None:
    charge = learned(100, 0.02, 0.02, passes, 0.02, 0.1)
    assert charge.alone(passes, 0.02, lambda: 0.1) == (None if alone is None else pytest.approx(alone))
