"""What manners could win at best: the formulas, with times that are made up."""

from __future__ import annotations

import pytest

from covey.pipeline.forecast import Steps, forecast
from covey.pipeline.manner import Measured


def steps(sequences: int, draft: float, verify: float, accepted: tuple[int, ...] = (4,)) -> Steps:
    """A step for each entry, in which every sequence has so many of four tokens accepted."""
    made = Steps()
    for right in accepted:
        made.add(Measured((4,) * sequences, (right,) * sequences, draft + verify, draft, True))
    return made


def test_halves_take_twice_the_longer_half() -> None:
    assert forecast(steps(8, 1.0, 1.0), None, 8)["halves"] == pytest.approx(2.0)
    assert forecast(steps(8, 0.5, 1.0), None, 8)["halves"] == pytest.approx(1.5)


def test_halves_that_take_as_long_as_all_win_nothing() -> None:
    """Known from a smaller batch: 0.9 and 0.9 of what eight sequences take, at four."""
    found = forecast(steps(8, 1.0, 1.0), steps(4, 0.9, 0.9), 8)
    assert found["halves"] == pytest.approx(2 / 1.8)
    assert forecast(steps(8, 1.0, 1.0), steps(2, 1.0, 1.0), 8)["halves"] == pytest.approx(1.0)


def test_one_sequence_has_no_halves() -> None:
    assert set(forecast(steps(1, 1.0, 1.0), None, 1)) == {"ahead"}


def test_going_ahead_wins_as_often_as_all_is_right() -> None:
    assert forecast(steps(1, 1.0, 1.0), None, 1)["ahead"] == pytest.approx(2.0)
    # Every other draft is right, and 4 + 1 of the 6 guesses that were put to the test.
    half = steps(1, 1.0, 1.0, (4, 1, 4, 1))
    assert half.chance(1) == pytest.approx(0.5 * 5 / 6, rel=0.03)
    chance = half.chance(1)
    assert forecast(half, None, 1)["ahead"] == pytest.approx(2 / (2 - chance))


def test_nothing_is_promised_without_drafts() -> None:
    assert forecast(steps(4, 0.0, 1.0), None, 4) == {}
