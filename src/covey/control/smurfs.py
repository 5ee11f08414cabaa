"""Smurfs' speculation length selector, as far as it is published.

SmurfsSelector(longest=8).plan(sequences, load)
"""

from __future__ import annotations

from collections import deque

from covey.control.controller import Controller, Load
from covey.types import Round, Sequence

_WINDOW = 8  # steps that a trend is fitted to


class SmurfsSelector(Controller):
    """One length for everybody, by hill climbing on verification time over verified tokens (Smurfs, SC'25, arXiv 2402.15678).

    A line is fitted to that ratio over the last steps: while it falls the length goes on as it went, when it rises it turns
    round. The window and the first length are ours: they are not published. Never 0, as there. longest: the highest length.
    """

    def __init__(self, longest: int) -> None:
        self.longest, self.length, self._direction = longest, min(4, longest), 1
        self._seen: deque[float] = deque(maxlen=_WINDOW)

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        return [min(self.length, sequence.max_draft_tokens) for sequence in sequences]

    def observe(self, rounds: list[Round]) -> None:
        tokens = sum(len(each.tokens) for each in rounds)
        if not tokens or any(each.prefilled for each in rounds):
            return
        self._seen.append(rounds[0].step_verify_seconds / tokens)
        if len(self._seen) == _WINDOW:
            if _slope(list(self._seen)) > 0:
                self._direction = -self._direction
            self.length = min(max(1, self.length + self._direction), max(1, self.longest))
            self._seen.clear()


def _slope(values: list[float]) -> float:
    """Of the line of least squares through values at 0, 1, 2, ..."""
    middle = (len(values) - 1) / 2
    return sum((at - middle) * value for at, value in enumerate(values))
