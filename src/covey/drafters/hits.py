"""How often forecasts of a kind come true: what a drafter's estimates of survival rest on.

Pure counting. It knows nothing of what makes a kind.

    table = HitTable(prior=[0.3, 0.8]); table.record(1, hit=True); table.probability(1)
    corrections = Corrections(); corrections.record(1, estimate=0.5, hit=True); corrections.of(1, estimate=0.4)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product
from math import exp
from typing import Any

from covey.state import numbers


class HitTable:
    """Hit rates by kind of forecast: a given prior that gives way to what is seen, and recent trials weigh more.

    Each trial weighs 1 - 1/memory of the next one of its kind; the prior weighs as much as `prior_trials` fresh ones.
    """

    def __init__(self, prior: Sequence[float], *, prior_trials: float = 16.0, memory: float = 512.0) -> None:
        self.prior = list(prior)
        self.prior_trials = prior_trials
        self.keep = 1.0 - 1.0 / memory
        self.hits = [0.0] * len(self.prior)
        self.trials = [0.0] * len(self.prior)

    def probability(self, kind: int) -> float:
        """Estimated probability of a hit, strictly between 0 and 1."""
        return (self.hits[kind] + self.prior_trials * self.prior[kind]) / (self.trials[kind] + self.prior_trials)

    def record(self, kind: int, hit: bool) -> None:
        self.hits[kind] = self.hits[kind] * self.keep + hit
        self.trials[kind] = self.trials[kind] * self.keep + 1.0


class Corrections:
    """What estimates of a kind were wrong by on average: within a kind they keep their order, which a hit rate would lose.

    An estimate weighs as `prior_trials` fresh trials; each trial weighs 1 - 1/memory of the next one of its kind. Kinds are whatever
    can be a key.
    """

    def __init__(self, *, prior_trials: float = 64.0, memory: float = 512.0) -> None:
        self.prior_trials, self.keep = prior_trials, 1.0 - 1.0 / memory
        self._off: dict[Hashable, tuple[float, float]] = {}  # hits beyond those expected, and trials

    def of(self, kind: Hashable, estimate: float) -> float:
        """The corrected probability of a hit, strictly between 0 and 1."""
        off, trials = self._off.get(kind, (0.0, 0.0))
        return min(0.999, max(0.001, estimate + off / (trials + self.prior_trials)))

    def record(self, kind: Hashable, estimate: float, hit: bool) -> None:
        """A forecast that was given this estimate, before correction, came true or not."""
        off, trials = self._off.get(kind, (0.0, 0.0))
        self._off[kind] = off * self.keep + hit - estimate, trials * self.keep + 1.0

    def learned(self) -> list[Any]:
        """All that was seen, as plain lists; kinds are made of whole numbers, alone or in tuples."""
        return [[kind, off, trials] for kind, (off, trials) in self._off.items()]

    def take_up(self, held: list[Any]) -> None:
        """What another process has seen. Raises ValueError or TypeError where it is not that."""
        for kind, off, trials in held:
            self._off[_kind(kind)] = numbers([off], 1)[0], numbers([trials], 1, low=0.0)[0]


def _kind(held: Any) -> Hashable:
    """A kind as it was, of the lists that JSON makes of tuples."""
    return tuple(_kind(each) for each in held) if isinstance(held, list) else int(held)


def logistic_prior(*odds: Sequence[float]) -> list[float]:
    """Probabilities of all combinations of classes, whose log-odds add up; the last class varies fastest."""
    return [1 / (1 + exp(-sum(each))) for each in product(*odds)]
