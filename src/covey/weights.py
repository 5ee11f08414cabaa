"""How much each member's vote counts: learned from every verified token, whoever won.

Pure. A member is scored at every position where what stood before its guess was committed and the target's token is known;
other positions say nothing about it, so that an estimate does not depend on who won (arXiv 2510.20064 scores all drafters
on the verified text likewise). Each sequence has a standing of its own, which starts from what its kind of request
showed before and forgets slowly, so that a change of task is followed. Knows nothing of drafters or votes.

    weights = LogOdds().begin([0.4, 0.6]); weights.record(0, hit=True, estimate=0.5); weights.of(0, estimate=0.5)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Protocol

_FLOOR, _CEILING = 0.001, 0.999


class Weights(Protocol):
    """The weights of one sequence's members."""

    def of(self, member: int, estimate: float) -> float:
        """What this member's vote counts for, 0 or more. estimate: the member's own, that this guess is right."""
        ...

    def record(self, member: int, hit: bool, estimate: float) -> None:
        """The member guessed a token, and the target's own is known."""
        ...


class Policy(Protocol):
    """Makes weights of what is known about members beforehand: their hit rates with this kind of request.

    shared: whether members that err together share their votes (`kinship.py`); what is there to be compared with is as it was published.
    """

    name: str
    shared: bool

    def begin(self, rates: Sequence[float]) -> Weights: ...


@dataclass
class HitRates:
    """Hit rates that start from a prior and forget: a trial weighs 1 - 1/memory of the next one.

    prior_trials: how many fresh trials the prior weighs as much as.
    """

    prior: list[float]
    prior_trials: float = 8.0
    memory: float = 32.0
    hits: list[float] = field(default_factory=list)
    trials: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hits = self.hits or [0.0] * len(self.prior)
        self.trials = self.trials or [0.0] * len(self.prior)

    def of(self, member: int) -> float:
        """Estimated probability that this member's next guess is right."""
        hits = self.hits[member] + self.prior_trials * self.prior[member]
        return hits / (self.trials[member] + self.prior_trials)

    def record(self, member: int, hit: bool) -> None:
        keep = 1 - 1 / self.memory
        self.hits[member] = self.hits[member] * keep + hit
        self.trials[member] = self.trials[member] * keep + 1


class Uniform:
    """Everybody counts the same: a plain majority."""

    name, shared = "uniform", False

    def begin(self, rates: Sequence[float]) -> Weights:
        return _Uniform()


class _Uniform:
    def of(self, member: int, estimate: float) -> float:
        return 1.0

    def record(self, member: int, hit: bool, estimate: float) -> None:
        return None


class Multiplicative:
    """Smurfs' reward and penalty: a weight is multiplied up by a hit and down by a miss, within bounds.

    Smurfs compares the mean acceptance of the chosen member with a threshold, and does not publish its numbers. Here every
    member is scored at every known position; factor and bounds are ours.
    """

    name, shared = "multiplicative", False

    def __init__(self, factor: float = 1.2, bounds: tuple[float, float] = (0.25, 4.0)) -> None:
        if factor <= 1:
            raise ValueError(f"factor={factor}: factor must be above 1")
        self.factor, self.bounds = factor, bounds

    def begin(self, rates: Sequence[float]) -> Weights:
        return _Multiplicative([1.0] * len(rates), self.factor, self.bounds)


@dataclass
class _Multiplicative:
    weights: list[float]
    factor: float
    bounds: tuple[float, float]

    def of(self, member: int, estimate: float) -> float:
        return self.weights[member]

    def record(self, member: int, hit: bool, estimate: float) -> None:
        changed = self.weights[member] * (self.factor if hit else 1 / self.factor)
        self.weights[member] = min(max(changed, self.bounds[0]), self.bounds[1])


class Hedge:
    """Exponential weights of the losses so far, recent ones more (Freund and Schapire 1997; with forgetting)."""

    name, shared = "hedge", True

    def __init__(self, rate: float = 0.3, memory: float = 32.0) -> None:
        self.rate, self.memory = rate, memory

    def begin(self, rates: Sequence[float]) -> Weights:
        return _Hedge([0.0] * len(rates), self.rate, self.memory)


@dataclass
class _Hedge:
    losses: list[float]
    rate: float
    memory: float

    def of(self, member: int, estimate: float) -> float:
        return exp(-self.rate * (self.losses[member] - min(self.losses)))

    def record(self, member: int, hit: bool, estimate: float) -> None:
        self.losses[member] = self.losses[member] * (1 - 1 / self.memory) + (not hit)


class LogOdds:
    """log(a m / (1 - a)) of the hit rate a, at least 0: what independent voters deserve that miss among m plausible wrong tokens."""

    name, shared = "log_odds", True

    def __init__(self, plausible: float = 20.0, memory: float = 32.0) -> None:
        self.plausible, self.memory = plausible, memory

    def begin(self, rates: Sequence[float]) -> Weights:
        return _LogOdds(HitRates(list(rates), memory=self.memory), self.plausible)


@dataclass
class _LogOdds:
    rates: HitRates
    plausible: float

    def of(self, member: int, estimate: float) -> float:
        return log_odds_weight(self.rates.of(member), self.plausible)

    def record(self, member: int, hit: bool, estimate: float) -> None:
        self.rates.record(member, hit)


def log_odds_weight(rate: float, plausible: float) -> float:
    """The weight of a vote that is right with this probability."""
    rate = min(max(rate, _FLOOR), _CEILING)
    return max(0.0, log(rate * plausible / (1 - rate)))


class Confidence:
    """The log odds of each guess by itself: the member's own estimate, corrected by how its estimates fared in this sequence.

    A member that is mostly wrong but knows when it is right is heard when it is.
    """

    name, shared = "confidence", True

    def __init__(self, plausible: float = 20.0, memory: float = 32.0, prior_trials: float = 4.0) -> None:
        self.plausible, self.memory, self.prior_trials = plausible, memory, prior_trials

    def begin(self, rates: Sequence[float]) -> Weights:
        return _Confidence([0.0] * len(rates), [0.0] * len(rates), self.plausible, self.memory, self.prior_trials)


@dataclass
class _Confidence:
    hits: list[float]
    expected: list[float]
    plausible: float
    memory: float
    prior_trials: float

    def of(self, member: int, estimate: float) -> float:
        return log_odds_weight(self.corrected(member, estimate), self.plausible)

    def corrected(self, member: int, estimate: float) -> float:
        """An estimate times hits over expected hits, both with a prior that takes the member at its word."""
        fared = (self.hits[member] + self.prior_trials) / (self.expected[member] + self.prior_trials)
        return min(_CEILING, estimate * fared)

    def record(self, member: int, hit: bool, estimate: float) -> None:
        keep = 1 - 1 / self.memory
        self.hits[member] = self.hits[member] * keep + hit
        self.expected[member] = self.expected[member] * keep + estimate


POLICIES: dict[str, Callable[[], Policy]] = {policy.name: policy for policy in (Uniform, Multiplicative, Hedge, LogOdds, Confidence)}
