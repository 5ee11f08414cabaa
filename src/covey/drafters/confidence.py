"""How probable it is that a choice of a nested draft is right: what calibration found, corrected by what is seen.

An exit's estimate is a logistic function of how probable the draft itself finds its choice and of by how much the choice
beat its best rival, noise included: under shared noise it is the margin that says whether a target of a slightly different
opinion chooses the same, and it stands for greedy and sampled requests alike. Estimates are then corrected online, in
classes. Knows nothing of layers or thresholds.

    confidence = Confidence(weights); p = confidence.estimate(exit=0, choice); confidence.record(0, p, hit=True)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, log, sqrt

from covey.drafters.hits import HitTable
from covey.model.sampling import Choice

FEATURES = 4
UNCALIBRATED = (0.0, 1.0, 0.0, 0.0)  # the draft's own probability as it is
_MOST_NATS = 8.0
_RUNNER_UP = 0.3
_CLASSES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # lower ends, but for the first


def features(choice: Choice) -> tuple[float, ...]:
    """What an estimate rests on: a constant, the log-odds of the choice, its margin, and the margin on a log scale."""
    q = min(max(choice.probability, 1e-9), 1 - 1e-9)
    margin = min(max(choice.margin, 0.0), _MOST_NATS)
    return 1.0, max(-_MOST_NATS, min(_MOST_NATS, log(q) - log(1 - q))), margin, log(margin + 0.05)


def runner_up(choice: Choice, estimate: float) -> tuple[tuple[int, float], ...]:
    """A choice's best rival, and the probability that it is what comes; nothing where there is none. estimate: that of the choice itself.

    How often it comes where the choice does not hardly depends on margins, and on its share of what is left to others less than in
    proportion (docs/log.md, "branches"). Whoever drafts with it corrects it online.
    """
    if choice.rival is None:
        return ()
    token, probability = choice.rival
    share = min(1.0, probability / max(1e-9, 1 - choice.probability))
    return ((token, min(estimate, (1 - estimate) * _RUNNER_UP * sqrt(share))),)


class Confidence:
    """Estimates for the exits of one draft with one target. weights: for each exit, one number for each feature."""

    def __init__(self, weights: Sequence[Sequence[float]]) -> None:
        self.weights = [tuple(each) for each in weights]
        middles = [(low + high) / 2 for low, high in zip((0.0, *_CLASSES), (*_CLASSES, 1.0), strict=True)]
        self.table = HitTable(middles * len(self.weights))

    def estimate(self, number: int, choice: Choice) -> float:
        """The probability that this choice of exit `number` is right, as calibrated: what thresholds are compared with."""
        return 1 / (1 + exp(-sum(w * x for w, x in zip(self.weights[number], features(choice), strict=True))))

    def corrected(self, number: int, estimate: float) -> float:
        """The share of such estimates that came true lately."""
        return self.table.probability(self._kind(number, estimate))

    def record(self, number: int, estimate: float, hit: bool) -> None:
        self.table.record(self._kind(number, estimate), hit)

    @staticmethod
    def _kind(number: int, estimate: float) -> int:
        return number * (len(_CLASSES) + 1) + bisect_right(_CLASSES, estimate)
