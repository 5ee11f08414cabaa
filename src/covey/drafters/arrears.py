"""What it costs a member that was not asked for long to read what it has missed, and how many guesses such a reading is good for.

A member reads a text only when it is asked; the first guess in a sequence has a whole prompt to read. That is paid by the guesses which
follow: by as many as usual, and by no fewer than a member has that is asked again and again, for else one that is seldom asked would be
dear because it is seldom asked, and would stay so. Knows nothing of drafters; times come from outside.

    arrears = Arrears(); arrears.read(300, seconds=0.05); arrears.guessed(4); arrears.price(unread=200)
"""

from __future__ import annotations

_MEMORY = 32.0  # readings
_EXPECTED = 8.0  # guesses that a reading is good for where a member is asked regularly
_PACE = 1 / 4
_SURPRISE = 2.0  # one reading counts as at most so many times what was expected: a hiccup is no trend


class Arrears:
    """Seconds for an unread token, and guesses for a reading."""

    def __init__(self) -> None:
        self._per_token: float | None = None
        self._readings, self._guesses = 1.0, _EXPECTED

    def read(self, unread: int, seconds: float) -> None:
        """It took so long beyond what its guesses take to read so many tokens."""
        each = max(0.0, seconds) / unread
        known = self._per_token
        self._per_token = each if known is None else known + _PACE * (min(each, _SURPRISE * known + 1e-9) - known)
        keep = 1 - 1 / _MEMORY
        self._readings, self._guesses = self._readings * keep + 1, self._guesses * keep

    def guessed(self, guesses: float) -> None:
        """So many guesses had nothing to be read for them."""
        self._guesses += guesses

    def price(self, unread: int) -> float:
        """What each of the guesses that follow has to pay for reading so many tokens; the one that reads is one of them."""
        return (self._per_token or 0.0) * unread / max(_EXPECTED, 1 + self._guesses / self._readings)
