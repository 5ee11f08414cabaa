"""Whether the server takes requests: it starts, serves, drains, and may be found stuck.

Knows the gates and when the engines last made a step; knows nothing of signals or HTTP.

    lifecycle.drain(); lifecycle.why_not_ready(now)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

from covey.server.gate import Gate
from covey.types import Round


class Lifecycle:
    """gates: by target. watchdog_seconds: an engine that has work and makes no step for so long is stuck."""

    def __init__(self, gates: Mapping[str, Gate], watchdog_seconds: float) -> None:
        self._gates, self._watchdog = gates, watchdog_seconds
        self._stepped = dict.fromkeys(gates, 0.0)
        self.draining = False

    def observe(self, happened: Round) -> None:
        """An engine has made a step. Called in its thread."""
        self._stepped[happened.target] = time.monotonic()

    def drain(self) -> None:
        """No further request is taken."""
        self.draining = True

    def age(self, target: str) -> float:
        """Seconds since the last step of an engine that has work; 0 for one that has none."""
        gate = self._gates[target]
        return max(0.0, time.monotonic() - max(self._stepped[target], gate.busy_since)) if gate.running else 0.0

    def stuck(self) -> Iterable[str]:
        return [target for target in self._gates if self.age(target) > self._watchdog]

    def why_not_ready(self) -> str | None:
        if self.draining:
            return "draining: running requests end, no further ones are taken"
        if stuck := self.stuck():
            return f"stuck: no step for over {self._watchdog:g} s of {', '.join(stuck)}"
        return None

    @property
    def idle(self) -> bool:
        return all(gate.idle for gate in self._gates.values())

    async def drained(self, seconds: float) -> bool:
        """Waits until every request has ended, at most so long; False when some have not."""
        end = time.monotonic() + seconds
        while not self.idle:
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(0.02)
        return True
