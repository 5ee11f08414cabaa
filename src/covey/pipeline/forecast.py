"""What each manner could win at best, from how long drafting and the rest of a step take one after the other.

With d and v for n sequences, and A the chance that what is drafted ahead comes true:

    serial    d + v
    halves    2 max(d(n/2), v(n/2))                  two groups take turns
    ahead     A max(d, v) + (1 - A) (d + v)          one group, drafted for while it is verified

No manner is faster than this, for both at once are slower than each alone where they share a processor: what is tried is measured
(`trial.py`), what cannot win is not tried. Knows nothing of manners at work.

    steps = Steps(); steps.add(happened); forecast(steps, smaller=None, sequences=8)      # {"halves": 1.3, "ahead": 1.02}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from covey.pipeline.manner import Ahead, Halves, Measured

_KEEP = 1 - 1 / 48  # of what earlier steps say, at each new one


@dataclass
class Steps:
    """Steps of one size of batch, drafting and verifying in turn: fading sums. Of steps with drafts, how many had all accepted whole;
    of drafted tokens that were put to the test, how many were right."""

    steps: float = 0.0
    sequences: float = 0.0
    draft_seconds: float = 0.0
    other_seconds: float = 0.0
    with_drafts: float = 0.0
    whole: float = 0.0
    tested: float = 0.0
    right: float = 0.0

    def add(self, happened: Measured) -> None:
        missed = sum(accepted < length for length, accepted in zip(happened.lengths, happened.accepted, strict=True))
        drafted = any(happened.lengths)
        for name, value in (
            ("steps", 1.0),
            ("sequences", happened.sequences),
            ("draft_seconds", happened.draft_seconds),
            ("other_seconds", max(0.0, happened.seconds - happened.draft_seconds)),
            ("with_drafts", drafted),
            ("whole", drafted and not missed),
            ("tested", sum(happened.accepted) + missed),
            ("right", sum(happened.accepted)),
        ):
            setattr(self, name, getattr(self, name) * _KEEP + value)

    @property
    def size(self) -> float:
        """Sequences in a step."""
        return self.sequences / self.steps

    @property
    def drafting(self) -> float:
        """Seconds of a step until its drafts are there."""
        return self.draft_seconds / self.steps

    @property
    def verifying(self) -> float:
        """Those of the rest of it."""
        return self.other_seconds / self.steps

    def chance(self, sequences: int) -> float:
        """That a group's drafts are right as a whole, and for each of its sequences one guess more."""
        if not self.with_drafts or not self.tested:
            return 0.0
        return float(self.whole / self.with_drafts * (self.right / self.tested) ** sequences)


def forecast(steps: Steps, smaller: Steps | None, sequences: int) -> dict[str, float]:
    """How many times as fast as in turn each manner can be at best. smaller: those of a smaller batch, if any are known; without them half
    of the sequences are hoped to take half the time."""
    d, v = steps.drafting, steps.verifying
    longer, chance = max(d, v), steps.chance(sequences)
    if not d or not longer:
        return {}
    seconds = {}
    if sequences > 1:
        halved = (_halved(steps, smaller, lambda each: each.drafting), _halved(steps, smaller, lambda each: each.verifying))
        seconds[Halves.name] = 2 * max(halved)
    seconds[Ahead.name] = chance * longer + (1 - chance) * (d + v)
    return {name: (d + v) / each for name, each in seconds.items()}


def _halved(steps: Steps, smaller: Steps | None, of: Callable[[Steps], float]) -> float:
    """What half of the sequences take, on the line through what all and what fewer of them do; never under half of it, nor over all."""
    whole = of(steps)
    if smaller is None or smaller.size >= steps.size:
        return whole / 2
    slope = (whole - of(smaller)) / (steps.size - smaller.size)
    return min(max(whole - slope * steps.size / 2, whole / 2), whole)
