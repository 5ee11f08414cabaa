"""The rules that watch a server: each reads a number off the last seconds and says what it must not pass.

Pure functions of Seconds and limits; when an alert is raised and cleared is for `alerts.py` to say.

    reading = RULES["queue"].read(seconds, limits); reading.broken(slack=0.0)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from covey.config import ServerConfig
from covey.server.activity import Second

_LEAST_DRAFTED = 256  # tokens, before which a minute's acceptance says nothing
_LEAST_STEPS = 64

Seconds = Sequence[Second]


@dataclass(frozen=True)
class Reading:
    """A value, the limit that it must not pass, upwards or (falling) downwards, and what it means that it did."""

    value: float
    limit: float
    says: str
    falling: bool = False

    def broken(self, slack: float) -> bool:
        """slack: the share of the limit by which the value must be on the right side of it."""
        return self.value < self.limit * (1 + slack) if self.falling else self.value > self.limit * (1 - slack)


@dataclass(frozen=True)
class Rule:
    """read: None where there is too little to say anything, which breaks no rule. waits: whether it must be broken for some time; what
    measures a time itself need not. of_server: about the whole server rather than one target."""

    read: Callable[[Seconds, ServerConfig], Reading | None]
    waits: bool = True
    of_server: bool = False


def _acceptance(seconds: Seconds, limits: ServerConfig) -> Reading | None:
    drafted, last = sum(each.drafted for each in seconds), seconds[-1]
    usual = [(share, when) for share, when in ((last.level, "in the long run"), (last.expected, "by its profile")) if share is not None]
    if drafted < _LEAST_DRAFTED or not usual:
        return None
    share = sum(each.accepted for each in seconds) / drafted
    level, when = max(usual)
    says = f"{share:.0%} of drafted tokens were accepted lately, {level:.0%} {when}: draft, target or requests have changed"
    return Reading(share, limits.alert_acceptance * level, says, falling=True)


def _speedup(seconds: Seconds, limits: ServerConfig) -> Reading | None:
    plain = [each.plain_seconds for each in seconds]
    took, steps = sum(each.step_seconds for each in seconds), sum(each.steps for each in seconds)
    if steps < _LEAST_STEPS or not took or any(each is None for each in plain) or not any(each.drafted for each in seconds):
        return None
    speedup = sum(each for each in plain if each is not None) / took
    says = f"drafting makes this {speedup:.2f} times as fast as plain decoding, by estimate"
    return Reading(speedup, limits.alert_speedup, says, falling=True)


def _repetition(seconds: Seconds, limits: ServerConfig) -> Reading | None:
    surest = seconds[-1].surest
    if surest is None:
        return None
    return Reading(surest, limits.alert_repetition, f"{surest:.1%} of one completion's drafted tokens are accepted: it may run in a loop")


def _queue(seconds: Seconds, limits: ServerConfig) -> Reading | None:
    waited = seconds[-1].queue_seconds
    return Reading(waited, limits.alert_queue_seconds, f"a request has waited {waited:.0f} s: {seconds[-1].waiting} are waiting")


def _watchdog(seconds: Seconds, limits: ServerConfig) -> Reading | None:
    age = seconds[-1].step_age
    return Reading(age, limits.watchdog_seconds, f"the engine has work and has made no step for {age:.0f} s")


def _memory(seconds: Seconds, limits: ServerConfig) -> Reading | None:
    used = seconds[-1].memory
    return Reading(used, limits.alert_memory, f"{used:.0%} of the machine's memory is in use")


RULES = {
    "acceptance": Rule(_acceptance),
    "speedup": Rule(_speedup),
    "repetition": Rule(_repetition),
    "queue": Rule(_queue, waits=False),
    "watchdog": Rule(_watchdog, waits=False),
    "memory": Rule(_memory, of_server=True),
}
