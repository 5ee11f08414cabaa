"""What rounds are worth, so that a few of them can be compared: the tokens that drafts of such lengths bring as a rule, not those that they
happened to bring.

Means by length are taken over all manners, which few steps are enough to tell; how a manner's own drafts do beside them takes many.
Knows nothing of time.

    worth = Worth(); worth.add(happened, "ahead"); worth.of(happened, "ahead")
"""

from __future__ import annotations

from covey.pipeline.manner import Measured

_KEEP = 1 - 1 / 512  # of what earlier rounds say, at each new one
_PRIOR = 1024.0  # tokens that say a manner's drafts are as good as all others: in fewer, chance is larger than what is looked for


class Worth:
    """Tokens accepted by length of draft, and tokens over tokens expected by manner: fading sums."""

    def __init__(self) -> None:
        self._by_length: dict[int, tuple[float, float]] = {}  # rounds, tokens accepted
        self._by_manner: dict[str, tuple[float, float]] = {}  # tokens, tokens expected

    def add(self, happened: Measured, manner: str) -> None:
        for length, accepted in zip(happened.lengths, happened.accepted, strict=True):
            rounds, right = self._by_length.get(length, (0.0, 0.0))
            self._by_length[length] = rounds * _KEEP + 1, right * _KEEP + accepted
        tokens, expected = self._by_manner.get(manner, (0.0, 0.0))
        self._by_manner[manner] = tokens * _KEEP + happened.tokens, expected * _KEEP + self._expected(happened)

    def of(self, happened: Measured, manner: str) -> float:
        """In tokens; of a step that was added."""
        tokens, expected = self._by_manner[manner]
        return self._expected(happened) * (tokens + _PRIOR) / (expected + _PRIOR)

    def _expected(self, happened: Measured) -> float:
        return sum(1 + right / rounds for rounds, right in map(self._by_length.__getitem__, happened.lengths))
