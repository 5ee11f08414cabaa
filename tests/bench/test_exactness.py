"""Comparing texts token by token."""

from __future__ import annotations

import pytest

from covey.bench.exactness import compare, first_difference


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 2, 3], [1, 9, 3], 1),
        ([1, 2], [1, 2, 3], 2),
        ([1, 2, 3], [1, 2], 2),
        ([], [], None),
        ([4], [5], 0),
    ],
)
def test_first_difference(one: list[int], other: list[int], at: int | None) -> None:
    assert first_difference(one, other) == at


def test_the_rate_counts_tokens_up_to_the_first_difference() -> None:
    same, other = list(range(100)), [*range(49), *[999] * 51]
    found = compare([("a", same, same), ("b", same, other)])
    assert found == {
        "prompts": 2,
        "differing_prompts": 1,
        "tokens_compared": 100 + 50,
        "first_differences_per_1000_tokens": pytest.approx(1000 / 150),
    }


def test_a_prompt_differs_when_one_repetition_does() -> None:
    found = compare([("a", [1], [1]), ("a", [1], [2]), ("a", [1], [1]), ("b", [1], [1])])
    assert (found["prompts"], found["differing_prompts"]) == (2, 1)


def test_nothing_compared_gives_no_rate() -> None:
    assert compare([])["first_differences_per_1000_tokens"] is None
