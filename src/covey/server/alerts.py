"""Which alerts are raised: rules held against the last minute, once a second, with hysteresis.

A rule that waits must be broken for `alert_seconds` to alert, and an alert is cleared when its rule has been kept, by a margin, for as
long. Whoever wants to know is told of each change. Knows nothing of where Seconds come from or where news goes.

    alerts = Alerts(config); alerts.listen(webhook.post); alerts.consider("smollm2", seconds, now)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

from covey.config import ServerConfig
from covey.server.rules import RULES, Reading, Rule, Seconds

log = logging.getLogger("covey.server")

_SLACK = 0.05
SERVER = ""  # the name, in the place of a target's, of what is about the whole server


class Alert(TypedDict):
    """One alert. model is empty for one about the server as a whole; since: when it was raised, in seconds since 1970."""

    rule: str
    model: str
    since: float
    value: float
    limit: float
    message: str


class News(TypedDict):
    """An alert that was raised or cleared."""

    state: Literal["raised", "cleared"]
    alert: Alert


@dataclass
class _Watched:
    """One rule of one target. turned: since when it has been the other way round than `alert` says; None while it is not."""

    alert: Alert | None = None
    turned: float | None = None


class Alerts:
    """Of one server. Belongs to the event loop."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._listeners: list[Callable[[News], None]] = []

    def listen(self, listener: Callable[[News], None]) -> None:
        """Call it with every alert that is raised or cleared. It must not block."""
        self._listeners.append(listener)

    @property
    def raised(self) -> list[Alert]:
        """Those that are raised now, the latest first."""
        found = [each.alert for each in self._watched.values() if each.alert is not None]
        return sorted(found, key=lambda alert: -alert["since"])

    def is_raised(self, rule: str, model: str = SERVER) -> bool:
        return self._watched.get((rule, model), _Watched()).alert is not None

    def consider(self, model: str, seconds: Seconds, now: float) -> None:
        """Hold the rules against a target's last seconds, oldest first, at least one. now: in seconds since 1970."""
        for name in self._config.alert_rules:
            rule = RULES[name]
            place = (name, SERVER if rule.of_server else model)
            self._hold(place, rule, rule.read(seconds, self._config), now)

    def _hold(self, place: tuple[str, str], rule: Rule, reading: Reading | None, now: float) -> None:
        watched = self._watched.setdefault(place, _Watched())
        broken = reading is not None and reading.broken(_SLACK if watched.alert else 0.0)
        if watched.alert is not None and broken and reading is not None:
            watched.alert |= {"value": reading.value, "limit": reading.limit, "message": reading.says}
        if broken == (watched.alert is not None):
            watched.turned = None
            return
        watched.turned = now if watched.turned is None else watched.turned
        if now - watched.turned < (self._config.alert_seconds if rule.waits or watched.alert is not None else 0.0):
            return
        watched.turned = None
        if watched.alert is not None:
            cleared, watched.alert = watched.alert, None
            self._tell({"state": "cleared", "alert": cleared})
        elif reading is not None:
            rule_name, model = place
            watched.alert = {
                "rule": rule_name, "model": model, "since": now, "value": reading.value, "limit": reading.limit, "message": reading.says,
            }  # fmt: skip
            self._tell({"state": "raised", "alert": dict(watched.alert)})  # type: ignore[typeddict-item]

    def _tell(self, news: News) -> None:
        alert = news["alert"]
        about = f" of {alert['model']}" if alert["model"] else ""
        log.warning("alert %s%s %s: %s", alert["rule"], about, news["state"], alert["message"])
        for listener in self._listeners:
            listener(news)
