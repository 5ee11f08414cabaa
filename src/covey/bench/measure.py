"""Measures all methods on all prompt groups, each group with every method in turn, so that drift of the machine cancels.

The order of the methods rotates from group to group and from repetition to repetition. What a journal holds is not
measured again, but only whole units are taken from it: pairs are always measured one after the other. Knows no statistics.

    measurements = Measuring(settings, methods, groups, journal, progress).run()
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from covey.bench.journal import Journal
from covey.bench.measurement import Measurement, Unit
from covey.bench.methods import Method
from covey.bench.selection import Group


class Watcher(Protocol):
    """Hears of every measurement; see progress.py."""

    def warming(self, method: str) -> None: ...

    def measured(self, measurement: Measurement, fresh: bool) -> None: ...


class Measuring:
    """One run. warmup_seconds tells, by method, what the unmeasured groups took (compilation included)."""

    def __init__(self, methods: Sequence[Method], groups: dict[int, list[Group]], repetitions: int, warmup: int, journal: Journal) -> None:
        self._methods, self._groups, self._repetitions = methods, groups, repetitions
        self._warmup, self._journal = warmup, journal
        self.warmup_seconds = {method.name: 0.0 for method in methods}

    @property
    def total(self) -> int:
        """Measurements in all."""
        return self._repetitions * sum(map(len, self._groups.values())) * len(self._methods)

    def run(self, watcher: Watcher) -> list[Measurement]:
        """Measure whatever the journal does not hold; returns everything, in the order of the plan."""
        plan = [
            (repetition, number, group)
            for repetition in range(self._repetitions)
            for groups in self._groups.values()
            for number, group in enumerate(groups)
        ]
        if not all(self._is_held(repetition, group) for repetition, _, group in plan):
            self._warm_up(watcher)
        measurements: list[Measurement] = []
        for repetition, number, group in plan:
            if self._is_held(repetition, group):
                unit = self._in_order(repetition, group)
                for measurement in unit:
                    watcher.measured(measurement, fresh=False)
            else:
                self._measure(repetition, group, rotated(self._methods, repetition + number), watcher)
                unit = self._in_order(repetition, group)
            measurements += unit
        return measurements

    def _in_order(self, repetition: int, group: Group) -> list[Measurement]:
        by_method = self._journal.held(_unit(repetition, group))
        return [by_method[method.name] for method in self._methods]

    def _is_held(self, repetition: int, group: Group) -> bool:
        return {method.name for method in self._methods} <= self._journal.held(_unit(repetition, group)).keys()

    def _warm_up(self, watcher: Watcher) -> None:
        """First calls compile, fill caches and touch memory."""
        for groups in self._groups.values():
            for method in self._methods:
                watcher.warming(method.name)
                began = time.perf_counter()
                for group in groups[: self._warmup]:
                    method.answer([prompt.ids for prompt in group.prompts])
                self.warmup_seconds[method.name] += time.perf_counter() - began

    def _measure(self, repetition: int, group: Group, methods: Sequence[Method], watcher: Watcher) -> None:
        prompts = [prompt.ids for prompt in group.prompts]
        for method in methods:
            measurement = Measurement(
                unit=_unit(repetition, group),
                task=group.task,
                method=method.name,
                ids=tuple(prompt.id for prompt in group.prompts),
                prompt_tokens=tuple(map(len, prompts)),
                answer=method.answer(prompts),
            )
            self._journal.append(measurement)
            watcher.measured(measurement, fresh=True)


def rotated(methods: Sequence[Method], by: int) -> list[Method]:
    """The same methods, another one first: who runs first or last must not matter."""
    by %= len(methods)
    return [*methods[by:], *methods[:by]]


def _unit(repetition: int, group: Group) -> Unit:
    return Unit(group.batch, repetition, group.name)
