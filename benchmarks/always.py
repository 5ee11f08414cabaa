"""What a benchmark has take the place of `auto`: one manner, whatever the load."""

from __future__ import annotations

from covey.pipeline.manner import Manner, Measured


class Always:
    """A chooser that has no choice."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner

    def manner(self, sequences: int, able: bool) -> Manner:
        return self._manner

    def measured(self, happened: Measured) -> None:
        """It does not matter."""
