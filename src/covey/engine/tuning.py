"""What an operator may change of one target while it is served: how long drafts may be, who drafts, and when drafting goes on.

All of it decides how much is drafted, and none of it what is written. To be used in the engine's thread, between two steps.
Knows nothing of who asks.

    Tuning(served, config).change({"num_speculative_tokens": 3})      # and returns how it is now
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from covey.config import EngineConfig
from covey.control import Goodput
from covey.drafters import CollectiveDrafter, NestedDrafter
from covey.drafters.guesser import Guesser
from covey.drafters.ledger import Ledger
from covey.engine.served import Served
from covey.errors import CoveyError
from covey.types import Drafter


class Tuning:
    """Of one target. Drafters that serve several targets are changed for all of them, but for thresholds, which each target has its own of.

    num_speculative_tokens: the longest draft, at most what the server was started with; 0 is plain decoding. members: the names of those
    members of a collective that take part. min_survival: drafts end before the token with which the estimated probability of being
    right so far falls under it; the controller `goodput` sets that itself. thresholds: of each nested draft, how sure an exit must be
    for the next one not to be asked.
    """

    def __init__(self, served: Served, config: EngineConfig) -> None:
        self._served, self._most = served, config.num_speculative_tokens
        drafter = served.drafter
        self._collective = drafter if isinstance(drafter, CollectiveDrafter) else None
        self._drafters: list[Drafter] = [] if drafter is None else [drafter]
        if self._collective is not None:
            self._drafters = [member.drafter for member in self._collective.members]

    def change(self, changes: dict[str, Any]) -> dict[str, Any]:
        """All of them, or none where one cannot be. Returns what `state` does. Raises CoveyError naming field, value and fix."""
        checks: dict[str, Callable[[Any], Callable[[], None]]] = {
            "num_speculative_tokens": self._length,
            "members": self._members,
            "min_survival": self._floor,
            "thresholds": self._thresholds,
        }
        for name in changes:
            if name not in checks:
                raise CoveyError(f"{name}: cannot be changed while serving; there are {', '.join(checks)}")
        for apply in [checks[name](value) for name, value in changes.items()]:
            apply()
        return self.state()

    def state(self) -> dict[str, Any]:
        """How it is now; null for what there is none of with this target, members by name and whether they take part."""
        engine, floored = self._served.engine, self._floored()
        members = [] if self._collective is None else self._collective.members
        return {
            "num_speculative_tokens": self._most if engine.draft_cap is None else engine.draft_cap,
            "most_speculative_tokens": self._most if self._drafters else 0,
            "members": {member.name: member.takes_part for member in members} or None,
            "min_survival": None if floored is None else floored.min_survival,
            "thresholds": {each.name: list(each.calibrations[self._served.name].thresholds) for each in self._nested()} or None,
        }

    def _length(self, value: Any) -> Callable[[], None]:
        most = self._most if self._drafters else 0
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            why = f"a whole number from 0 to {most}, which is what this target was started with"
            raise CoveyError(f"num_speculative_tokens={value!r}: num_speculative_tokens must be {why}")
        return lambda: setattr(self._served.engine, "draft_cap", value)

    def _members(self, value: Any) -> Callable[[], None]:
        if self._collective is None:
            raise CoveyError(f"members={value!r}: this target has no collective; to stop drafting set num_speculative_tokens to 0")
        names = self._collective.member_names
        if not isinstance(value, list) or not value or not all(name in names for name in value):
            why = f"members must be a list of at least one of {', '.join(names)}; to stop drafting set num_speculative_tokens to 0"
            raise CoveyError(f"members={value!r}: {why}")
        members = self._collective.members

        def apply() -> None:
            for member in members:
                member.takes_part = member.name in value

        return apply

    def _floored(self) -> Ledger | Guesser | None:
        """Whose min_survival holds; nobody's where a controller says how far drafts go."""
        if isinstance(self._served.engine.controller, Goodput):
            return None
        if self._collective is not None:
            return self._collective.ledger
        return next((drafter for drafter in self._drafters if isinstance(drafter, Guesser)), None)

    def _floor(self, value: Any) -> Callable[[], None]:
        floored = self._floored()
        if floored is None:
            raise CoveyError(f"min_survival={value!r}: nothing heeds it here, the controller or the drafter decides; leave it out")
        if not _is_number(value) or not 0 <= value < 1:
            raise CoveyError(f"min_survival={value!r}: min_survival must be a number from 0 to below 1")
        return lambda: setattr(floored, "min_survival", float(value))

    def _nested(self) -> list[NestedDrafter]:
        """Those that have thresholds to set."""
        name = self._served.name
        return [each for each in self._drafters if isinstance(each, NestedDrafter) and each.calibrations[name].thresholds]

    def _thresholds(self, value: Any) -> Callable[[], None]:
        nested, target = {each.name: each for each in self._nested()}, self._served.name
        if not isinstance(value, dict) or not value or not value.keys() <= nested.keys():
            there = f"must be an object of lists of numbers by {', '.join(nested)}" if nested else "no drafter here has any; leave it out"
            raise CoveyError(f"thresholds={value!r}: {there}")
        for name, numbers in value.items():
            count = len(nested[name].calibrations[target].thresholds)
            right = isinstance(numbers, list) and len(numbers) == count and all(_is_number(t) and 0 <= t <= 1 for t in numbers)
            if not right:
                raise CoveyError(f"thresholds={value!r}: of {name} there must be {count} numbers from 0 to 1, one an exit but the last")

        def apply() -> None:
            for name, numbers in value.items():
                held = nested[name].calibrations
                held[target] = replace(held[target], thresholds=tuple(map(float, numbers)))

        return apply


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
