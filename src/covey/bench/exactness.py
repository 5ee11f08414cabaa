"""Compares the texts of two methods, token by token. Pure.

In float32 and float64 covey's methods must not differ at all; in bfloat16 kernels round by shape, so that now and then a
near tie falls the other way, for plain decoding at another batch size too.

    compare([("p1", (1, 2, 3), (1, 2, 4))])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Pair = tuple[str, Sequence[int], Sequence[int]]


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """The index of the first token in which two texts differ; an end is a difference too."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return None if len(one) == len(other) else min(len(one), len(other))


def compare(pairs: Iterable[Pair]) -> dict[str, Any]:
    """How many prompts differ, and first differences per 1,000 tokens.

    The rate's divisor counts the tokens at which a first difference could have come: up to it where there is one, the
    whole text where there is none. A prompt differs when it does so in any repetition.
    """
    prompts: set[str] = set()
    differing: set[str] = set()
    differences = tokens = 0
    for prompt, one, other in pairs:
        prompts.add(prompt)
        at = first_difference(one, other)
        tokens += len(one) if at is None else at + 1
        if at is not None:
            differences += 1
            differing.add(prompt)
    return {
        "prompts": len(prompts),
        "differing_prompts": len(differing),
        "tokens_compared": tokens,
        "first_differences_per_1000_tokens": 1000 * differences / tokens if tokens else None,
    }
