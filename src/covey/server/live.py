"""What the server does, once a second, for whoever follows; the last minutes first.

One task in the event loop takes every target's Second, holds the alert rules against the last minute, and wakes whoever follows.

    live = Live(activities, alerts, callers, lifecycle); asyncio.create_task(live.run())
    live.enter(caller); live.follow(caller); live.leave(caller)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from covey.server.activity import Activity, Second
from covey.server.alerts import Alerts
from covey.server.callers import Callers
from covey.server.errors import overloaded
from covey.server.keys import Caller
from covey.server.lifecycle import Lifecycle

log = logging.getLogger("covey.server")

_KEPT = 300
_MINUTE = 60
_MOST_FOLLOWERS, _MOST_OF_ONE = 64, 16  # in all, and of one caller


class Live:
    """See the module. pace: seconds between two snapshots."""

    def __init__(
        self, activities: Mapping[str, Activity], alerts: Alerts, callers: Callers, lifecycle: Lifecycle, pace: float = 1.0
    ) -> None:
        self._activities, self._alerts, self._callers, self._lifecycle, self._pace = activities, alerts, callers, lifecycle, pace
        self._seconds: dict[str, deque[Second]] = {target: deque(maxlen=_MINUTE) for target in activities}
        self._kept: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._came = asyncio.Event()
        self._followers: Counter[str] = Counter()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._pace)
            try:
                self.tick(time.time())
            except Exception:  # a second that cannot be told must not end all further ones
                log.exception("a snapshot failed: a fault of covey")

    def tick(self, now: float) -> None:
        """Take the second that has passed. now: in seconds since 1970."""
        models = {}
        for target, activity in self._activities.items():
            second = activity.take()
            self._seconds[target].append(second)
            self._alerts.consider(target, self._seconds[target], now)
            models[target] = second.to_dict()
        why = self._lifecycle.why_not_ready()
        self._kept.append({"time": now, "why_not_ready": why, "models": models, "alerts": [dict(each) for each in self._alerts.raised]})
        self._came.set()
        self._came = asyncio.Event()

    async def follow(self, caller: Caller) -> AsyncGenerator[dict[str, Any], None]:
        """The kept snapshots, and then each as it comes, with what is the caller's own. Ends when the server drains."""
        for snapshot in [*self._kept][:-1]:
            yield snapshot
            await asyncio.sleep(0)  # others have their turn between them
        while True:
            if self._kept:
                yield {**self._kept[-1], **self._callers.of(caller)}
            if self._lifecycle.draining:
                return
            await self._came.wait()

    def enter(self, caller: Caller) -> None:
        """One more follows. Raises ApiError 503 when many do already, of this caller or in all."""
        own, every = self._followers[caller.name], self._followers.total()
        if own >= _MOST_OF_ONE or every >= _MOST_FOLLOWERS:
            raise overloaded(f"{every} clients follow already, {own} of them with this key: close some", 10)
        self._followers[caller.name] += 1

    def leave(self, caller: Caller) -> None:
        self._followers[caller.name] -= 1
