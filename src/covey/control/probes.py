"""What may be spent on finding out whether speculation pays again: a hundredth of the time, saved up until it is enough.

Pure. Knows neither whom a probe asks nor what it costs.

    savings = Savings(); savings.add(step_seconds); savings.pay(cost_of_a_probe)
"""

from __future__ import annotations

_SHARE = 0.01
_PROBES = 2.0  # so many can be saved up


class Savings:
    """Seconds that may be spent."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """So much time has passed."""
        self.seconds += _SHARE * seconds

    def pay(self, cost: float) -> bool:
        """Whether a probe of so many seconds is paid for; it is spent then."""
        enough = self.seconds >= cost
        self.seconds = min(self.seconds - cost * enough, _PROBES * cost)
        return enough
