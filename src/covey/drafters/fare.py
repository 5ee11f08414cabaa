"""What it costs to ask several who are asked at once: something for the pass, whoever takes part, and something for each guess.

Both are learned from what passes took, by a line through them; recent ones weigh more. Until passes of different sizes were seen, the
pass is taken to cost as much as a few guesses: were it all put down to guesses, who was tried with one text at a time would never be
asked about many at once, which might pay, and nothing else would be learned. Knows nothing of drafters; times come from outside.

    fare = Fare(); fare.record(guesses=4, sequences=1, seconds=0.003); fare.once; fare.beside
"""

from __future__ import annotations

_MEMORY = 256.0
_ENOUGH = 3  # passes that tell a cost: a single one may have met a hiccup
_FIRST = 8  # among so many a dear one may have been the first of all, which warms up
_SURPRISE = 2.0  # one counts as at most so many times what was expected: a hiccup is no trend
_PASS = 4.0  # guesses that a pass is taken to cost: of a small model five were measured (docs/log.md)
_DOUBT = 0.01  # how much the sizes of passes must vary, over their mean squared, before the line is believed


class Fare:
    """Seconds of a pass, by how many guesses are made in it."""

    def __init__(self) -> None:
        self._trials = 0
        self._forget()

    def _forget(self) -> None:
        self._weight = self._guesses = self._sequences = self._seconds = self._squares = self._products = 0.0
        self._line: tuple[float, float] | None = None

    def record(self, guesses: int, sequences: int, seconds: float) -> None:
        """A pass with so many guesses for so many sequences took so long."""
        self._trials += 1
        if self._weight:
            usual = self._seconds / self._weight
            if self._trials <= _FIRST and seconds < min(usual, self.of(guesses)) / _SURPRISE:
                self._forget()
            elif seconds > usual * _SURPRISE:
                seconds = min(seconds, max(usual, self.of(guesses)) * _SURPRISE)
        keep = 1 - 1 / _MEMORY
        self._weight = self._weight * keep + 1
        self._guesses = self._guesses * keep + guesses
        self._sequences = self._sequences * keep + sequences
        self._seconds = self._seconds * keep + seconds
        self._squares = self._squares * keep + guesses * guesses
        self._products = self._products * keep + guesses * seconds
        self._line = None

    @property
    def settled(self) -> bool:
        """Whether so many passes were seen that one slow one among them cannot be all that is known."""
        return self._trials >= _ENOUGH

    @property
    def once(self) -> float:
        """What a pass costs, whoever takes part."""
        return self._through()[0]

    @property
    def beside(self) -> float:
        """What one more guess costs in a pass that is made anyway."""
        return self._through()[1]

    @property
    def alone(self) -> float:
        """What a guess costs for which a sequence takes part, with its share of the pass."""
        return self.once * self._weight / self._sequences + self.beside

    def of(self, guesses: int) -> float:
        """What a pass with so many guesses costs."""
        once, beside = self._through()
        return once + beside * guesses

    def _through(self) -> tuple[float, float]:
        """The line: where it begins, and its slope. Asked for more often than it changes."""
        if self._line is None:
            guesses, seconds = self._guesses / self._weight, self._seconds / self._weight
            variance = max(0.0, self._squares / self._weight - guesses * guesses)
            together = self._products / self._weight - guesses * seconds
            usual, doubt = seconds / (_PASS + guesses), _DOUBT * guesses * guesses
            beside = min(seconds / guesses, max(0.0, (together + doubt * usual) / (variance + doubt)))
            self._line = max(0.0, seconds - beside * guesses), beside
        return self._line
