"""Finds where a text begins to repeat itself: greedy decoding of a small model falls into loops, which flatter any
drafter that looks for repeated text.

A loop is a stretch of at least MIN_LENGTH output tokens, at least MIN_TIMES repeats of one n-gram of at most MAX_PERIOD
tokens, without a gap (the last repeat may be cut). It begins where the second of them begins: the first was still new text.

    loop_start([1, 2, 3] * 20)          # 3
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_PERIOD = 32
MIN_LENGTH = 32
MIN_TIMES = 3


def loop_start(tokens: Sequence[int], max_period: int = MAX_PERIOD, min_length: int = MIN_LENGTH, min_times: int = MIN_TIMES) -> int | None:
    """The index of the first token that repeats within a loop, or None. O(len(tokens) x max_period)."""
    starts = (_start_with_period(tokens, period, max(min_length, min_times * period)) for period in range(1, max_period + 1))
    return min((start for start in starts if start is not None), default=None)


def _start_with_period(tokens: Sequence[int], period: int, length: int) -> int | None:
    """Where the first stretch of this period and at least this length starts to repeat."""
    equal = 0  # tokens up to here that equal the one a period before
    for i in range(period, len(tokens)):
        equal = equal + 1 if tokens[i] == tokens[i - period] else 0
        if equal + period >= length:
            return i - equal + 1
    return None
