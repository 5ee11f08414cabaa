"""How probable it is that a drafted token survives: a drafter's own estimates, corrected by how they came true; and what to expect of
drafts that are not written yet.

Pure counting, with no model. `Trust` corrects what a draft says of itself; `Outlook` remembers how sure drafts of a sequence lately
were at each depth, which is what a length is planned from.

    trust.corrected(draft_survival, sequence_id); trust.record(conditional=0.9, hit=False, sequence_id=7)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
Ints = NDArray[numpy.intp]

_KINDS = 10  # of estimates
_CLASSES = numpy.array([0.03, 0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95])  # borders of classes of survival
NUM_CLASSES = len(_CLASSES) + 1
_DEPTHS = numpy.arange(256)
_BELIEVABLE, _DISTRUST = 9.0, 0.7  # three standard deviations; what is left of a drafter's word at each trial beyond them


def conditionals(survival: Sequence[float]) -> list[float]:
    """The probability of each token, if all before it are right."""
    return [min(1.0, after / before) if before > 0 else 0.0 for before, after in pairwise((1.0, *survival))]


@dataclass
class Trust:
    """Estimates corrected by how often such estimates came true, with this drafter at large and in each sequence.

    prior_trials: how many trials the drafter's own word weighs, for each class of estimate and in each sequence; at large it fades as
    trials do, and fast where it cannot be reconciled with what came, for the word of one that is never right is worth nothing. memory: a
    trial weighs 1 - 1/memory of the next one.
    """

    prior_trials: float = 8.0
    memory: float = 256.0
    own_memory: float = 32.0
    _hits: list[float] = field(default_factory=lambda: [0.0] * _KINDS)
    _expected: list[float] = field(default_factory=lambda: [0.0] * _KINDS)
    _variance: list[float] = field(default_factory=lambda: [0.0] * _KINDS)  # of hits, if estimates were true
    _trials: list[float] = field(default_factory=lambda: [0.0] * _KINDS)
    _word: list[float] = field(default_factory=lambda: [1.0] * _KINDS)  # what is left of the drafter's own
    _own: dict[int, tuple[float, float]] = field(default_factory=dict)  # by sequence: hits, and hits expected

    def of(self, estimate: float, sequence_id: int) -> float:
        """The corrected probability of a token, if all before it are right."""
        fared, expected = self._own.get(sequence_id, (0.0, 0.0))
        own = (fared + self.prior_trials) / (expected + self.prior_trials)
        return min(0.999, self._at_large(estimate) * own)

    @property
    def rate(self) -> float:
        """How often guesses lately were right after others that were, from 0.3 to 1; 0.7 before anything is known."""
        hits, trials = sum(self._hits) + 0.7 * self.prior_trials, sum(self._trials) + self.prior_trials
        return max(0.3, hits / trials)

    def corrected(self, survival: Sequence[float], sequence_id: int) -> list[float]:
        """The survival of a draft, corrected; it never rises."""
        alive, found = 1.0, []
        for estimate in conditionals(survival):
            alive *= self.of(estimate, sequence_id)
            found.append(alive)
        return found

    def record(self, estimate: float, hit: bool, sequence_id: int) -> None:
        """A token that was estimated like this, after others that were right, was accepted or not."""
        fared, expected = self._own.get(sequence_id, (0.0, 0.0))
        keep = 1 - 1 / self.own_memory
        self._own[sequence_id] = (fared * keep + hit, expected * keep + self._at_large(estimate))
        kind, keep = _kind(estimate), 1 - 1 / self.memory
        self._hits[kind] = self._hits[kind] * keep + hit
        self._expected[kind] = self._expected[kind] * keep + estimate
        self._trials[kind] = self._trials[kind] * keep + 1
        self._variance[kind] = self._variance[kind] * keep + estimate * (1 - estimate)
        surprise = (self._hits[kind] - self._expected[kind]) ** 2 / (self._variance[kind] + 1)
        self._word[kind] *= keep if surprise < _BELIEVABLE else _DISTRUST

    def forget(self, sequence_id: int) -> None:
        self._own.pop(sequence_id, None)

    def _at_large(self, estimate: float) -> float:
        """Shifted by what such estimates were wrong by, so that within a class they keep their order."""
        kind = _kind(estimate)
        off = (self._hits[kind] - self._expected[kind]) / (self._trials[kind] + self._word[kind] * self.prior_trials)
        return min(0.999, max(0.001, estimate + off))


def _kind(estimate: float) -> int:
    return min(_KINDS - 1, max(0, int(estimate * _KINDS)))


@dataclass(frozen=True)
class Turnout:
    """How one draft turned out: how sure it was of its tokens, by depth, and in which class that falls."""

    kinds: Ints
    survival: Floats

    @classmethod
    def of(cls, survival: Sequence[float], asked: int, rate: float, depths: int) -> Turnout:
        """A draft of at most `asked` tokens had this corrected survival; it may be shorter than what was asked for.

        Of one that was cut short by that it is supposed that it would have gone on, its survival falling by `rate` a token.
        """
        going = list(survival[:asked])
        while asked <= len(going) < depths:
            going.append(going[-1] * rate)
        found = numpy.asarray(going, numpy.float64)
        return cls(numpy.searchsorted(_CLASSES, found, side="right"), found)


class Outlook:
    """How drafts turn out: for each depth, how often a draft gets there, and with which survival.

    Of one sequence, on the ground of what is known at large. Depth 0 is a draft's first token.
    """

    def __init__(self, depths: int) -> None:
        self.held = numpy.zeros((2, depths, NUM_CLASSES))  # how many drafts, and the sum of their survival
        self.trials = 0.0

    @classmethod
    def hopeful(cls, depths: int, rate: float = 0.85, trials: int = 2) -> Outlook:
        """What is believed before anything was drafted: every token right with this probability. Hope is soon disappointed, but without
        it nobody would try."""
        outlook = cls(depths)
        for _ in range(trials):
            outlook.record(Turnout.of([rate], 1, rate, depths), memory=1e9)
        return outlook

    def record(self, turnout: Turnout, memory: float) -> None:
        """A draft turned out like this; it weighs 1, those before ever less."""
        self.fade(memory)
        self.trials += 1
        if count := len(turnout.survival):
            self.held[0, _DEPTHS[:count], turnout.kinds] += 1
            self.held[1, _DEPTHS[:count], turnout.kinds] += turnout.survival

    def fade(self, memory: float) -> None:
        """What was seen before counts less; all that happens where a round goes by without a draft."""
        keep = 1 - 1 / memory
        self.held *= keep
        self.trials *= keep


def outlooks(own: Sequence[Outlook], ground: Outlook, weight: float) -> tuple[Floats, Floats]:
    """For every sequence, each [n, depths, classes]: the share of drafts that get to a depth with a survival of that class, and how many
    tokens of theirs survive; what is known at large weighs as `weight` drafts. Classes are in the order of survival."""
    held = numpy.array([each.held for each in own]) + ground.held * (weight / ground.trials)  # [n, 2, depths, classes]
    held /= numpy.array([each.trials + weight for each in own])[:, None, None, None]
    return held[:, 0], held[:, 1]


def reliability(estimated: Floats, right: NDArray[numpy.bool_], classes: int = 10) -> list[tuple[float, float, int]]:
    """Classes of equal width that hold something: (mean estimate, share that was right, how many)."""
    at = numpy.minimum((estimated * classes).astype(int), classes - 1)
    held = [at == number for number in range(classes) if (at == number).any()]
    return [(float(estimated[kept].mean()), float(right[kept].mean()), int(kept.sum())) for kept in held]


def calibration_error(estimated: Floats, right: NDArray[numpy.bool_]) -> float:
    """Expected calibration error over ten classes (Naeini et al. 2015)."""
    return sum(abs(mean - share) * count for mean, share, count in reliability(estimated, right)) / max(1, len(right))
