"""How seconds of drafting are charged: those that pass while the target verifies anyway cost only what they slow it by.

Pure. Learned from Rounds for one way of taking turns: where drafting is waited for, nothing ever passes beside a pass, and all is charged.

    charge = Charge(); charge.observe(drafting=0.02, hidden=0.015, passes=0.1); charge.seconds(0.02, 0.1)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

_KEEP = 1 - 1 / 32  # of what earlier steps say, at each new one
_DOUBT = 4.0  # steps before half of what was seen is believed


class Charge:
    """Of d seconds of drafting and v of a pass the shorter is what can overlap. Of that, `hidden` is the share that nobody waited for, and
    `slowing` what a pass grows by for each second of drafting beside it: d is charged as d - (hidden - slowing) min(d, v)."""

    def __init__(self) -> None:
        self._steps = 0
        self._could = self._did = 0.0  # seconds that could overlap, and that did
        self._passes = 0
        self._beside = self._excess = 0.0  # seconds of drafting beside passes, and what these took beyond what was expected

    @property
    def hidden(self) -> float:
        return self._did / self._could * _belief(self._steps) if self._could else 0.0

    @property
    def slowing(self) -> float:
        return min(1.0, max(0.0, self._ratio)) * _belief(self._passes)

    @property
    def credit(self) -> float:
        """What a second of drafting that can overlap is cheaper by than one that is waited for; below 0 where overlapping harms."""
        return self.hidden - self.slowing

    def seconds(self, drafting: ArrayLike, passes: ArrayLike) -> NDArray[numpy.float64]:
        """What drafting adds to a step whose pass takes so long by itself."""
        result: Any = drafting - self._relief(drafting, passes)
        return result

    def relieved(self, passes: ArrayLike, drafting: float) -> NDArray[numpy.float64]:
        """Passes less what they spare of the drafting: the longer one is, the more it hides."""
        result: Any = passes - self._relief(drafting, passes)
        return result

    def share(self, drafting: float, passes: float) -> float:
        """What of one more second of drafting is charged."""
        return 1.0 - self.credit if drafting < passes else 1.0

    def observe(self, drafting: float, hidden: float, passes: float) -> None:
        """A step whose drafts took so long, of which `hidden` seconds were not waited for, with a pass of so many."""
        if (could := min(drafting, passes)) > 0:
            self._steps += 1
            self._could = self._could * _KEEP + could
            self._did = self._did * _KEEP + min(hidden, could)

    def alone(self, passes: float, beside: float, expected: Callable[[], float]) -> float | None:
        """What a pass of so many seconds would have taken with no drafting beside it; None where that cannot be told. expected: the
        seconds that it was expected to take so.

        Where drafting goes on beside every pass, a slower machine and a slower pass look alike: up to a second for each of drafting is
        put down to the drafting, and only what is beyond that, or below nothing, to the machine.
        """
        if not beside:
            return passes
        self._passes += 1
        self._beside = self._beside * _KEEP + beside
        self._excess = self._excess * _KEEP + passes - expected()
        if self._ratio < 0:
            return passes
        return passes - beside if self._ratio > 1 else None

    def _relief(self, drafting: ArrayLike, passes: ArrayLike) -> Any:
        credit = self.credit
        return credit * numpy.minimum(drafting, passes) if credit else 0.0

    @property
    def _ratio(self) -> float:
        return self._excess / self._beside if self._beside else 0.0


def _belief(steps: int) -> float:
    return steps / (steps + _DOUBT)
