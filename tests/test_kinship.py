"""Who errs together: counted where somebody is wrong, whoever else is right."""

from __future__ import annotations

import pytest

from covey.kinship import Kinship


def after(rounds: list[tuple[int, int, int]], times: int = 200) -> Kinship:
    """Three members' tokens, where 9 is known to be right, again and again."""
    kinship = Kinship(3)
    for _ in range(times):
        for tokens in rounds:
            kinship.record(list(enumerate(tokens)), known=9)
    return kinship


def test_before_any_mistake_all_are_strangers():
    kinship = after([(9, 9, 9)])
    assert kinship.share(0, [0, 1, 2]) == 1.0


def test_kin_share_one_vote_and_strangers_do_not():
    kinship = after([(1, 1, 9), (9, 9, 2), (2, 2, 3)])
    assert kinship.of(0, 1) == pytest.approx(1.0, abs=0.03)
    assert kinship.of(0, 2) == kinship.of(2, 0) == 0.0
    assert kinship.share(0, [0, 1]) == pytest.approx(0.5, abs=0.02)
    assert kinship.share(0, [0, 1, 2]) == kinship.share(0, [0, 1])


def test_the_root_of_how_often_a_mistake_is_shared():
    kinship = after([(1, 1, 9), (1, 2, 9), (1, 3, 9), (1, 9, 9)])
    assert kinship.of(0, 1) == pytest.approx(0.5, abs=0.02)
    assert kinship.of(1, 0) == pytest.approx((1 / 3) ** 0.5, abs=0.02)  # it errs less often, and shares as many


def test_what_is_long_ago_is_forgotten():
    kinship = after([(1, 1, 9)])
    for _ in range(3000):
        kinship.record([(0, 1), (1, 2)], known=9)
    assert kinship.of(0, 1) < 0.1
