"""What it costs to ask several who are asked at once: something for the pass, whoever takes part, and something for each guess.

Both are learned from what passes took, by a line through them; recent ones weigh more. Until passes of different sizes were seen, all
guesses are taken to cost the same share, which is the most that one of many can cost. Knows nothing of drafters; times come from outside.

    fare = Fare(); fare.record(guesses=4, sequences=1, seconds=0.003); fare.alone; fare.beside
"""

from __future__ import annotations

_MEMORY = 256.0
_FIRST = 8  # among so many a dear one may have been the first of all, which warms up
_SURPRISE = 2.0  # one counts as at most so many times what was expected: a hiccup is no trend
_DOUBT = 0.01  # how much the sizes of passes must vary, over their mean squared, before the line is believed


class Fare:
    """Seconds of a pass, by how many guesses are made in it."""

    def __init__(self) -> None:
        self._trials = 0
        self._forget()

    def _forget(self) -> None:
        self._weight = self._guesses = self._sequences = self._seconds = self._squares = self._products = 0.0

    def record(self, guesses: int, sequences: int, seconds: float) -> None:
        """A pass with so many guesses for so many sequences took so long."""
        self._trials += 1
        if self._weight:
            usual, by_the_line = self._seconds / self._weight, self._pass + self.beside * guesses
            if self._trials <= _FIRST and seconds < min(usual, by_the_line) / _SURPRISE:
                self._forget()
            else:
                seconds = min(seconds, max(usual, by_the_line) * _SURPRISE)
        keep = 1 - 1 / _MEMORY
        self._weight = self._weight * keep + 1
        self._guesses = self._guesses * keep + guesses
        self._sequences = self._sequences * keep + sequences
        self._seconds = self._seconds * keep + seconds
        self._squares = self._squares * keep + guesses * guesses
        self._products = self._products * keep + guesses * seconds

    @property
    def beside(self) -> float:
        """What one more guess costs in a pass that is made anyway."""
        guesses, seconds = self._guesses / self._weight, self._seconds / self._weight
        variance = max(0.0, self._squares / self._weight - guesses * guesses)
        together = self._products / self._weight - guesses * seconds
        share, doubt = seconds / guesses, _DOUBT * guesses * guesses
        return min(share, max(0.0, (together + doubt * share) / (variance + doubt)))

    @property
    def alone(self) -> float:
        """What a guess costs for which a sequence takes part, with its share of the pass."""
        return self._pass * self._weight / self._sequences + self.beside

    @property
    def _pass(self) -> float:
        return self._seconds / self._weight - self.beside * self._guesses / self._weight
