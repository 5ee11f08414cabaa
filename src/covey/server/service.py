"""What all endpoints share: the engines' front, gates, limits, threads for texts, metrics.

Knows its parts; knows nothing of HTTP.

    service = Service(llm, config, defaults, keys); service.gates["smollm2"].enter("key-1", 1)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from covey.config import ServerConfig
from covey.control import Goodput
from covey.cost import Costs
from covey.drafters.expected import expected_acceptance
from covey.engine.engine import Engine
from covey.llm import AsyncLLM
from covey.sampling_params import SamplingParams
from covey.server.activity import Activity
from covey.server.alerts import SERVER, Alerts
from covey.server.callers import Callers
from covey.server.errors import ApiError
from covey.server.gate import Gate
from covey.server.keys import Keys
from covey.server.level import Level
from covey.server.lifecycle import Lifecycle
from covey.server.live import Live
from covey.server.metrics import Metrics
from covey.server.rules import RULES
from covey.server.speed import Speed
from covey.server.webhook import Webhook
from covey.types import Round

_TEXT_THREADS = 2
_KEPT_EVERY = 60.0  # seconds
_AHEAD = 1  # completions let in beyond what the engine runs, so that a place that is given back is taken in the next step


class Service:
    """See the module. Belongs to one event loop. llm is the caller's, who closes it. state: a folder for what outlives the process;
    None for nothing."""

    def __init__(self, llm: AsyncLLM, config: ServerConfig, defaults: SamplingParams, keys: Keys, state: Path | None = None) -> None:
        self.llm, self.config, self.defaults, self.keys, self._state = llm, config, defaults, keys, state
        self.texts = ThreadPoolExecutor(_TEXT_THREADS, thread_name_prefix="covey-texts")
        self.gates = {target: Gate(llm.config.max_num_seqs + _AHEAD, config.queue_size) for target in llm.targets}
        self.lifecycle = Lifecycle(self.gates, config.watchdog_seconds)
        self.metrics = Metrics()
        self.metrics.watch_readiness(lambda: self.lifecycle.why_not_ready() is None)
        self.callers = Callers()
        self.alerts = Alerts(config)
        self._webhook = None if config.alert_webhook is None else Webhook(config.alert_webhook)
        if self._webhook is not None:
            self.alerts.listen(self._webhook.post)
        self._activities = {target: self._watch(target) for target in llm.targets}
        self.live = Live(self._activities, self.alerts, self.callers, self.lifecycle)
        self.created = int(time.time())
        self._stop_observing = [llm.observe(self._observe), llm.observe(self.lifecycle.observe)]

    def target(self, name: str | None) -> str:
        """The target that a request means. Raises ApiError 404, with the names, for none."""
        names = self.llm.targets
        if name is None and len(names) == 1:
            return names[0]
        if name not in names:
            said = "model is not given" if name is None else f"model={name[:100]!r}: no such model"
            raise ApiError(404, f"{said}; name one of {', '.join(names)}", param="model", code="model_not_found")
        return name

    async def keep(self) -> None:
        """Write down what outlives the process, now and then; until it is cancelled."""
        while True:
            await asyncio.sleep(_KEPT_EVERY)
            await asyncio.get_running_loop().run_in_executor(self.texts, self._keep)

    def _keep(self) -> None:
        for activity in self._activities.values():
            activity.keep()

    def close(self) -> None:
        self._keep()
        for stop in self._stop_observing:
            stop()
        if self._webhook is not None:
            self._webhook.close()
        self.texts.shutdown(wait=False, cancel_futures=True)

    def _observe(self, happened: Round) -> None:
        """In the engine's thread. A step is priced once, for whoever wants to know."""
        step = self.metrics.observe(happened)
        self._activities[happened.target].observe(happened, step)

    def _watch(self, target: str) -> Activity:
        """Metrics and activity of one target."""
        served, gate = self.llm.served(target), self.gates[target]
        scheduler = served.engine.scheduler
        gauges: dict[str, Callable[[], float]] = {
            "num_requests_running": lambda: len(scheduler.running),
            "num_requests_waiting": lambda: gate.waiting + len(scheduler.waiting),
            "kv_cache_usage_perc": lambda: 1 - served.target.rows.num_available / max(1, served.target.rows.num_blocks),
            "drafter_failures": lambda: served.engine.pipeline.faults.failures,
            "drafters_lost": lambda: served.engine.pipeline.faults.dropped + served.engine.pipeline.faults.quarantined,
            "engine_last_step_age_seconds": lambda: self.lifecycle.age(target),
        }
        self.metrics.add_target(target, Speed(lambda: _costs(served.engine)), gauges)
        for name in self.config.alert_rules:
            about = SERVER if RULES[name].of_server else target
            self.metrics.watch_alert(name, about, lambda name=name, about=about: self.alerts.is_raised(name, about))  # type: ignore[misc]
        return Activity(
            level=self._level(target),
            expected=expected_acceptance(served.drafters_asked_for, served.target.name),
            gauges={
                "running": gauges["num_requests_running"],
                "waiting": gauges["num_requests_waiting"],
                "cache": gauges["kv_cache_usage_perc"],
                "step_age": gauges["engine_last_step_age_seconds"],
                "queue_seconds": gate.longest_wait,
                "memory": lambda: psutil.virtual_memory().percent / 100,
            },
        )

    def _level(self, target: str) -> Level:
        """Names alone tell whose it is: a draft that was changed under its name is held against what it was. Objects have no names."""
        served, config = self.llm.served(target), self.llm.config
        if self._state is None or not served.drafters_asked_for:
            return Level()
        about = {"target": served.target.name, "drafters": served.drafters_asked_for, "controller": config.controller}
        return Level.of(self._state, {**about, "longest": config.num_speculative_tokens})


def _costs(engine: Engine) -> Costs | None:
    return engine.controller.costs if isinstance(engine.controller, Goodput) else None
