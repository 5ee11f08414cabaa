"""What it costs to ask several who are asked at once: something for the pass, however many take part, and something for each.

Both are learned from what passes took, by a line through them; recent ones weigh more. Until passes of different numbers were seen,
everybody is taken to cost the same share, which is the most that one of many can cost. Knows nothing of drafters; times come from outside.

    fare = Fare(); fare.record(takers=4, seconds=0.003); fare.alone; fare.beside
"""

from __future__ import annotations

_MEMORY = 256.0
_FIRST = 8  # among so many a dear one may have been the first of all, which warms up
_SURPRISE = 2.0  # one counts as at most so many times what was expected: a hiccup is no trend
_DOUBT = 0.05  # how much the numbers of takers must vary before the line is believed


class Fare:
    """Seconds of a pass for one sequence, by how many guess for it."""

    def __init__(self) -> None:
        self._trials = 0
        self._forget()

    def _forget(self) -> None:
        self._weight = self._takers = self._seconds = self._squares = self._products = 0.0

    def record(self, takers: float, seconds: float) -> None:
        """So many guessed for each sequence, and it took so long for one."""
        self._trials += 1
        if self._weight:
            usual, by_the_line = self._seconds / self._weight, self._pass + self.beside * takers
            if self._trials <= _FIRST and seconds < min(usual, by_the_line) / _SURPRISE:
                self._forget()
            else:
                seconds = min(seconds, max(usual, by_the_line) * _SURPRISE)
        keep = 1 - 1 / _MEMORY
        self._weight = self._weight * keep + 1
        self._takers = self._takers * keep + takers
        self._seconds = self._seconds * keep + seconds
        self._squares = self._squares * keep + takers * takers
        self._products = self._products * keep + takers * seconds

    @property
    def beside(self) -> float:
        """What one more costs beside others."""
        takers, seconds = self._takers / self._weight, self._seconds / self._weight
        variance = max(0.0, self._squares / self._weight - takers * takers)
        together = self._products / self._weight - takers * seconds
        share = seconds / takers
        return min(share, max(0.0, (together + _DOUBT * share) / (variance + _DOUBT)))

    @property
    def alone(self) -> float:
        """What one costs whom nobody is asked with."""
        return self._pass + self.beside

    @property
    def _pass(self) -> float:
        return self._seconds / self._weight - self.beside * self._takers / self._weight
