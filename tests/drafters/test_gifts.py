"""Hidden states by position: put together from parts, zeros where there is nothing, forgotten when read."""

from __future__ import annotations

import torch

from covey.drafters.gifts import Gifts


def states(first: int, count: int) -> torch.Tensor:
    """Each position's state is its number, from 1."""
    return torch.arange(first + 1, first + 1 + count, dtype=torch.float32)[:, None].expand(-1, 2)


def given(*parts: tuple[int, int]) -> Gifts:
    gifts = Gifts(torch.empty(0, 2))
    for start, count in parts:
        gifts.add(start, states(start, count))
    return gifts


def held(gifts: Gifts, start: int, stop: int) -> list[int]:
    return [int(value) for value in gifts.of(start, stop)[:, 0]]


def test_parts_are_put_together_and_what_is_missing_is_zero():
    gifts = given((0, 2), (2, 1), (3, 2))
    assert held(gifts, -1, 7) == [0, 1, 2, 3, 4, 5, 0, 0]
    assert held(gifts, 6, 8) == [0, 0]
    assert gifts.stop == 5


def test_what_comes_again_replaces_what_was_there_and_a_gap_ends_it():
    gifts = given((0, 4))
    gifts.add(2, states(10, 1))
    assert held(gifts, 0, 4) == [1, 2, 11, 0]
    gifts.add(6, states(6, 2))
    assert held(gifts, 0, 9) == [0, 0, 0, 0, 0, 0, 7, 8, 0]
    gifts.add(5, states(5, 1))
    assert held(gifts, 4, 8) == [0, 6, 0, 0]


def test_what_was_read_is_forgotten():
    gifts = given((0, 3), (3, 2))
    gifts.drop(4)
    assert held(gifts, 0, 5) == [0, 0, 0, 0, 5]
    gifts.drop(9)
    assert (gifts.stop, held(gifts, 8, 10)) == (9, [0, 0])


def test_what_is_given_is_copied():
    whole = states(0, 4).clone()
    gifts = Gifts(torch.empty(0, 2))
    gifts.add(0, whole[1:2])
    whole.zero_()
    assert held(gifts, 0, 1) == [2]


def test_a_beginning_is_the_same_and_goes_its_own_way():
    gifts = given((0, 3), (3, 3))
    gifts.drop(2)
    same = gifts.until(4)
    same.add(4, states(20, 1))
    assert held(same, 0, 6) == [0, 0, 3, 4, 21, 0]
    assert held(gifts, 0, 7) == [0, 0, 3, 4, 5, 6, 0]
    assert held(gifts.until(1), 0, 3) == [0, 0, 0]


def test_a_small_rest_does_not_keep_a_large_part():
    gifts = given((0, 1000), (1000, 2))
    gifts.drop(990)
    assert held(gifts, 989, 1003) == [0, *range(991, 1003), 0]
    assert sum(part.untyped_storage().nbytes() for part in gifts._parts) <= 12 * 2 * 4
