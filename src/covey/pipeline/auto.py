"""Finds out which manner is fastest under the present load, and keeps to it until the load changes.

Each size of batch begins serially. What could be won at best is computed from the times of serial steps (`forecast.py`); a manner that
promises something is tried against the one that is kept (`trial.py`), the most promising first, and looked at again after ever longer
times. What trials lose may come to a hundredth of the time; after that they wait. Knows nothing of sequences or threads; what it
decides never changes a text.

    chooser = Auto(); manner = chooser.manner(4, able=True); ...; chooser.measured(happened)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log

from covey.pipeline.forecast import Steps, forecast
from covey.pipeline.manner import Ahead, Halves, Here, Manner, Measured
from covey.pipeline.trial import MARGIN, Trial
from covey.pipeline.worth import Worth

_LOSS = 0.01  # of the time may be lost in trials
_LOAN = 1.0  # rounds of every sequence that may be lost before that much time has passed
_FIRST = 3  # rounds of every sequence before the first look
_LOOK_AGAIN, _LONGEST = 200, 12_800  # until the next one after a trial; doubled each time that nothing changes
_WATCH = 6  # until the next one where nothing was worth a trial; doubled, too, up to _LOOK_AGAIN
_FLAP = 3  # steps for which a batch has another size before that counts


@dataclass
class _Load:
    """What is known of one size of batch. rivals: manners still to be tried, the one on trial first. since: rounds since the last look,
    of `interval` until the next; looks: how many there were; changed: whether the last one changed anything."""

    kept: str = Here.name
    serial: Steps = field(default_factory=Steps)
    rivals: list[str] = field(default_factory=list)
    trial: Trial | None = None
    since: int = 0
    interval: int = _FIRST
    looks: int = 0
    changed: bool = False


class Auto:
    """See the module."""

    def __init__(self) -> None:
        self._manners: dict[str, Manner] = {each.name: each for each in (Here(), Halves(), Ahead())}
        self._loads: dict[int, _Load] = {}
        self._size, self._other = 0, 0
        self._now, self._fresh = Here.name, True
        self._sequences, self._able = 0, False
        self._worth = Worth()
        self._short: dict[str, float] = {}  # by manner: the logarithm of what trials found over what was forecast
        self._savings = 0.0  # seconds that may be lost in trials

    @property
    def kept(self) -> dict[str, str]:
        """The manner that is kept, by the most sequences that it is kept for."""
        return {str(1 << size): load.kept for size, load in sorted(self._loads.items())}

    def manner(self, sequences: int, able: bool) -> Manner:
        self._sequences, self._able = sequences, able
        size = max(0, sequences - 1).bit_length()
        self._other = self._other + 1 if size != self._size else 0
        if self._other >= _FLAP or not self._loads:
            self._turn_to(size)
        load = self._loads[self._size]
        name = load.trial.name if load.trial else load.kept
        self._fresh = self._fresh or name != self._now
        self._now = name
        return self._manners[name]

    def measured(self, happened: Measured) -> None:
        load = self._loads.get(self._size)
        if load is None:  # a step that another one chose the manner of
            return
        self._savings += _LOSS * happened.seconds
        fresh, self._fresh = self._fresh, False
        if fresh or self._other or not happened.steady or happened.seconds <= 0:  # after a change groups are made anew
            if load.trial:
                load.trial.skip()
            return
        self._worth.add(happened, self._now)
        if self._now == Here.name:
            load.serial.add(happened)
        if load.trial:
            load.trial.add(happened, self._worth.of(happened, self._now), self._sequences)
            self._judge(load)
        else:
            self._settled(load, happened)

    def _turn_to(self, size: int) -> None:
        """The load is another one."""
        if (left := self._loads.get(self._size)) and left.trial:
            left.trial.interrupt()
        self._size, self._other, self._fresh = size, 0, True
        self._loads.setdefault(size, _Load())

    def _settled(self, load: _Load, happened: Measured) -> None:
        """Look again when it is time, and trials can be afforded."""
        load.since += happened.sequences
        if not self._affords(load):
            return
        if not load.rivals and load.since >= load.interval * self._sequences:
            load.since, load.changed = 0, False
            load.rivals = self._promising(load)
            load.looks += 1
            load.interval = load.interval if load.rivals else min(_LOOK_AGAIN, 2 * max(_WATCH, load.interval))
        if load.rivals:
            load.trial = Trial(load.kept, load.rivals[0])

    def _affords(self, load: _Load) -> bool:
        """Whether a trial may begin."""
        serial = load.serial
        return self._savings >= -_LOAN * (serial.drafting + serial.verifying if serial.steps else 0.0)

    def _promising(self, load: _Load) -> list[str]:
        """Manners that could win, the most promising first; and serial, where that is not kept, for nothing is known of it but its past.
        What a manner fell short of its forecast elsewhere counts half, and at every further look half of that."""
        belief = 0.5 ** (load.looks + 1)
        found = {name: gain * exp(belief * self._short.get(name, 0.0)) for name, gain in self._forecast(load).items()}
        rivals = sorted((name for name in found if name != load.kept and found[name] > MARGIN), key=lambda name: -found[name])
        return rivals if load.kept == Here.name else [Here.name, *rivals]

    def _forecast(self, load: _Load) -> dict[str, float]:
        """What each manner may win over serial at best."""
        if not load.serial.steps:
            return {}
        smaller = self._loads.get(self._size - 1)  # of about half as many: times of much fewer say little of a staircase
        known = smaller is not None and smaller.serial.steps >= _FIRST
        found = forecast(load.serial, smaller.serial if known and smaller else None, self._sequences)
        return {name: gain for name, gain in found.items() if self._able or name != Ahead.name}

    def _judge(self, load: _Load) -> None:
        """Go on when the trial has a verdict."""
        trial = load.trial
        if trial is None or trial.verdict is None:
            return
        self._savings -= trial.lost
        if trial.kept == Here.name and (promised := self._forecast(load).get(trial.rival)):
            self._short[trial.rival] = min(0.0, log(trial.gain / promised))
        if trial.verdict:
            load.kept, load.changed = trial.rival, True
        load.rivals.pop(0)
        load.trial = Trial(load.kept, load.rivals[0]) if load.rivals and self._affords(load) else None
        if not load.rivals:
            load.interval = _LOOK_AGAIN if load.changed else min(_LONGEST, max(_LOOK_AGAIN, 2 * load.interval))
