"""What one target does, second by second: counted from Rounds in the engine's thread, taken once a second by whoever watches.

Counting is a few additions a Round under a lock that is never held for long. Knows nothing of who looks at it.

    activity = Activity("smollm2", gauges); activity.observe(happened, step); second = activity.take()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from covey.server.level import Fading, Level
from covey.server.speed import Step
from covey.types import Round

_OWN_MEMORY, _OWN_LEAST = 128.0, 96.0  # drafted tokens that one completion's record forgets in, and before which there is none
_STALE = 30  # takes after which a completion that nobody heard of is forgotten: one that was aborted tells no last Round


@dataclass
class Share:
    """Tokens that were drafted, or that a member was for, and those of them that were accepted. hit_rate: how often a member of a
    collective was right lately, the mean over Rounds of what each sequence has seen of it; weight: what its votes counted for, the same
    mean."""

    drafted: int = 0
    accepted: int = 0
    hit_rate: float | None = None
    weight: float | None = None


@dataclass
class Second:
    """What happened since the last one, and how things stand. All that charts and alerts know.

    seconds: how long that was. step_seconds: those that steps took. plain_seconds: those that plain decoding is expected to take for the
    same; None where the controller keeps no costs. lengths: sequences' draft lengths, and how often each was chosen. level: the share of
    drafted tokens that is accepted in the long run, None before it is known; expected: the share that was measured for these drafters
    before, None where there is no record; surest: the highest such share lately of a completion that
    is being written, None for none. step_age: seconds since the last step of an engine with work. queue_seconds: the longest that a
    request waits already. cache and memory: shares in use, of the target's cache and of the machine's.
    """

    seconds: float = 0.0
    tokens: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    draft_seconds: float = 0.0
    plain_seconds: float | None = 0.0
    drafts: int = 0
    drafted: int = 0
    accepted: int = 0
    lengths: dict[int, int] = field(default_factory=dict)
    drafters: dict[str, Share] = field(default_factory=dict)
    level: float | None = None
    expected: float | None = None
    surest: float | None = None
    running: int = 0
    waiting: int = 0
    queue_seconds: float = 0.0
    step_age: float = 0.0
    cache: float = 0.0
    memory: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def count(self, happened: Round) -> None:
        """One Round that gave tokens."""
        drafted = len(happened.drafted)
        self.tokens += len(happened.tokens)
        self.lengths[drafted] = self.lengths.get(drafted, 0) + 1
        if not drafted:
            return
        self.drafts += 1
        self.drafted += drafted
        self.accepted += happened.accepted
        for place, names in enumerate(happened.voters):
            for name in names:
                share = self.drafters.setdefault(name, Share())
                share.drafted += 1
                share.accepted += place < happened.accepted

    def count_step(self, step: Step) -> None:
        self.steps += 1
        self.step_seconds += step.seconds
        self.draft_seconds += step.draft_seconds
        if step.plain_seconds is None:
            self.plain_seconds = None
        elif self.plain_seconds is not None:
            self.plain_seconds += step.plain_seconds


@dataclass
class _Own(Fading):
    """Of one completion. heard: the take in which it was last heard of."""

    heard: int = 0


class Activity:
    """Of one target. gauges: by the names of Second's fields, what gives their values at the moment. level: the long run. expected: see
    Second."""

    def __init__(
        self,
        gauges: Mapping[str, Callable[[], float]],
        level: Level | None = None,
        expected: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gauges, self._level, self._expected, self._clock = gauges, level or Level(), expected, clock
        self._lock = threading.Lock()
        self._second, self._began = Second(), clock()
        self._rates: dict[str, list[float]] = {}  # by member
        self._weights: dict[str, list[float]] = {}  # by member
        self._own: dict[int, _Own] = {}  # by sequence
        self._taken = 0

    def observe(self, happened: Round, step: Step | None) -> None:
        """A Round, and its step where it was the last of one. In the engine's thread."""
        with self._lock:
            if happened.tokens:
                self._second.count(happened)
                self._remember(happened)
            for member in happened.members:
                self._rates.setdefault(member.name, []).append(member.record)
                self._weights.setdefault(member.name, []).append(member.weight)
            if step is not None:
                self._second.count_step(step)

    def take(self) -> Second:
        """What was counted since the last call."""
        now = self._clock()
        with self._lock:
            second, self._second = self._second, Second()
            rates, self._rates = self._rates, {}
            weights, self._weights = self._weights, {}
            second.seconds, self._began = now - self._began, now
            self._taken += 1
            self._own = {number: own for number, own in self._own.items() if self._taken - own.heard < _STALE}
            second.level, second.expected = self._level.share, self._expected
            second.surest = max((own.share for own in self._own.values() if own.drafted >= _OWN_LEAST), default=None)
        for name, each in rates.items():
            second.drafters.setdefault(name, Share()).hit_rate = fmean(each)
        for name, each in weights.items():
            second.drafters.setdefault(name, Share()).weight = fmean(each)
        for name, value in self._gauges.items():
            setattr(second, name, value())
        return second

    def keep(self) -> None:
        """Write down what outlives the process."""
        with self._lock:
            level = self._level.copy()
        level.keep()

    def _remember(self, happened: Round) -> None:
        drafted, accepted = len(happened.drafted), happened.accepted
        if drafted:
            self._level.add(drafted, accepted)
            own = self._own.setdefault(happened.sequence_id, _Own())
            own.add(drafted, accepted, _OWN_MEMORY)
            own.heard = self._taken
        if happened.finish_reason is not None:
            self._own.pop(happened.sequence_id, None)
