"""How often forecasts of a kind come true: what a drafter's estimates of survival rest on.

Pure counting. It knows nothing of what makes a kind.

    table = HitTable(prior=[0.3, 0.8]); table.record(1, hit=True); table.probability(1)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import exp


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


def logistic_prior(*odds: Sequence[float]) -> list[float]:
    """Probabilities of all combinations of classes, whose log-odds add up; the last class varies fastest."""
    return [1 / (1 + exp(-sum(each))) for each in product(*odds)]
