"""Draft, then verify: the reference, in the engine's own thread.

A drafter that hangs hangs the engine: without a thread of its own a call cannot be cut short (`Overlapped` has one).

    serial = Serial(target, drafter); outcome = serial.verify(serial.draft(works, lengths), cuts)
"""

from __future__ import annotations

import time
from collections.abc import Container
from dataclasses import replace
from typing import Any

from covey.control import Cut
from covey.pipeline.guard import Faults, Guard, take_over
from covey.pipeline.pipeline import Outcome, Ready
from covey.types import Draft, Drafter, Round, Sequence, Target, Work


class Serial:
    """See Pipeline. Holds nothing between steps. branches: see Guard."""

    held: Container[int] = ()
    waiting = False

    def __init__(self, target: Target, drafter: Drafter | None, branches: bool = True) -> None:
        self.target = target
        self.guard = None if drafter is None else Guard(drafter, branches)

    @property
    def drafter(self) -> Drafter | None:
        return None if self.guard is None else self.guard.drafter

    @property
    def faults(self) -> Faults:
        return Faults() if self.guard is None else self.guard.faults

    def start(self, sequence: Sequence) -> None:
        self.target.start(sequence)
        self._tell("start", sequence)

    def stop(self, sequence: Sequence) -> None:
        self.target.stop(sequence)
        self._tell("stop", sequence)

    def rest(self, sequence: Sequence, length: int) -> None:
        self.target.rows.rest(self.target.rows[sequence.id], length)
        self._tell("rest", sequence)

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> bool:
        inherited = take_over(self.target, sequence, of, length)
        if inherited:
            self._tell("inherit", sequence, of, length)
        return inherited

    def heed(self, floor: float | None, checking: float) -> None:
        self._tell("heed", floor, checking)

    def observe(self, happened: Round) -> None:
        self._tell("observe", happened)

    def draft(self, works: list[Work], lengths: list[int]) -> Ready:
        began = time.perf_counter()
        asked = [i for i, length in enumerate(lengths) if length > 0]
        if asked and self.guard is not None and not self.guard.rests:
            works = list(works)
            sequences = [works[i].sequence for i in asked]
            drafts = self.guard.propose(sequences, [lengths[i] for i in asked], self.target.vocab_size)
            for i, draft in zip(asked, drafts, strict=True):
                works[i] = replace(works[i], draft=draft)
        seconds = time.perf_counter() - began
        return Ready(works, lengths, seconds, seconds)

    def verify(self, ready: Ready, cuts: list[Cut]) -> Outcome:
        works, began = ready.cut(cuts), time.perf_counter()
        wanted = self.guard is not None and self.guard.drafter.wants_hidden and not self.guard.rests
        verdicts = self.target.verify(works, self._give if wanted else None)
        return Outcome(ready, works, cuts, verdicts, time.perf_counter() - began)

    def commit(self, work: Work, proposed: Draft, tokens: tuple[int, ...], accepted: int) -> None:
        if len(proposed):
            self._tell("commit", work.sequence, work.draft, accepted)

    def settle(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        """Nothing to end."""

    def _give(self, sequence: Sequence, start: int, hidden: Any) -> None:
        self._tell("receive", sequence, start, hidden)

    def _tell(self, what: str, *arguments: object) -> None:
        if self.guard is not None:
            self.guard.tell(what, *arguments)
