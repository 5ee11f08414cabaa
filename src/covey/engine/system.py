"""Puts a system together: targets, drafters, memory, an engine for each target.

The one place that knows all the parts by name; knows nothing of threads or of who asks.

    system = System({"smollm2": "smollm2"}, drafters=None, options={}); system.served("smollm2").engine.add(...)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import torch

from covey import provenance
from covey.config import EngineConfig
from covey.control import make_controller
from covey.cost import Costs
from covey.drafters import CollectiveDrafter, good_drafters, make_drafter
from covey.engine.engine import Engine
from covey.engine.memory import MemoryPlan, plan_memory
from covey.engine.profile import costs_of
from covey.engine.served import Served
from covey.errors import CoveyError, UnsupportedError
from covey.model.load import check_context, load
from covey.model.target import LocalTarget
from covey.pipeline import Auto, ByNumber, Desk, Overlapped, Pipeline, Placement, Serial, ThreadLane
from covey.rows import BLOCK_SIZE
from covey.toy import ToyTarget
from covey.types import Drafter, Host, Round

log = logging.getLogger(__name__)


class System:
    """Targets by the names that requests call them by, and the drafters that they share."""

    def __init__(self, targets: Mapping[str, Any], drafters: list[str | Drafter] | None, options: dict[str, Any]) -> None:
        self.config = EngineConfig.from_options(options)
        if self.config.threads is not None:
            torch.set_num_threads(self.config.threads)
        self.targets = {name: _make_target(target, self.config) for name, target in targets.items()}
        self._lengths = {name: _max_model_len(self.config, target) for name, target in self.targets.items()}
        self._made: dict[str, Drafter] = {}
        self._collectives: dict[tuple[int, ...], CollectiveDrafter] = {}
        self._drafter_of = {name: self._choose_drafter(name, drafters) for name in self.targets}
        self.drafters = list({id(d): d for d in self._drafter_of.values() if d is not None}.values())
        self._check_shared()
        self._check_state()
        self.memory_plan = self._plan()
        log.info("%s", self.memory_plan)
        self._desks: dict[int, Desk] = {}  # by drafter
        self._served = {name: self._serve(name) for name in self.targets}
        self._trace: TextIO | None = None
        if self.config.trace is not None:
            self._trace = open(self.config.trace, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
            self.observe(self._write_trace)

    @property
    def engines(self) -> list[Engine]:
        return [served.engine for served in self._served.values()]

    def served(self, name: str | None = None) -> Served:
        """The target of that name; None is the only one. Raises CoveyError, with the names, for no such target."""
        if name is None and len(self._served) == 1:
            return next(iter(self._served.values()))
        if name is None:
            raise CoveyError(f"model is not given: several targets are served; name one of {', '.join(self._served)}")
        if name not in self._served:
            raise CoveyError(f"model={name!r}: no such target is served; name one of {', '.join(self._served)}")
        return self._served[name]

    def observe(self, observer: Callable[[Round], None]) -> Callable[[], None]:
        """Call observer with every Round from now on; returns a function that ends it."""
        for engine in self.engines:
            engine.observers.append(observer)

        def end() -> None:
            for engine in self.engines:
                engine.observers.remove(observer)

        return end

    def close(self) -> None:
        if self._trace is not None:
            self._trace.close()
        for engine in self.engines:
            engine.scheduler.ended.clear()
        hung = [desk.drafter for desk in self._desks.values() if self._leave(desk)]
        for drafter in self.drafters:
            if not any(drafter is each for each in hung):
                drafter.close()
        for target in self.targets.values():
            target.close()

    def _choose_drafter(self, target: str, given: list[str | Drafter] | None) -> Drafter | None:
        """The drafter of one target: the same object for all targets that it is named for."""
        if self.config.num_speculative_tokens == 0:
            return None
        named = list(good_drafters(self.targets[target].name)) if given is None else given
        if isinstance(named, str):
            raise CoveyError(f"drafters={named!r}: drafters must be a list, as in drafters=[{named!r}]")
        if not named:
            return None
        members = [self._make(each) if isinstance(each, str) else each for each in named]
        if len(members) == 1:
            return members[0]
        company = tuple(id(member) for member in members)
        if company not in self._collectives:  # targets of the same members share their collective, too
            self._collectives[company] = CollectiveDrafter(members, state=self.config.collective_state)
        return self._collectives[company]

    def _check_state(self) -> None:
        """What cannot be kept is refused: one drafter has no records of members, and a file is of one collective."""
        place, made = self.config.collective_state, len(self._collectives)
        if place is not None and made != 1:
            why = "targets have different drafters here, and a file is of one collective" if made else "it is for several drafters, by name"
            raise CoveyError(f"collective_state={str(place)!r}: {why}; leave it out, or give CollectiveDrafter(..., state=...) objects")

    def _check_shared(self) -> None:
        for drafter in self.drafters:
            if self._count(drafter) > 1 and not drafter.serves_several:
                raise UnsupportedError(f"drafters={drafter.name!r}: this drafter serves one target only; leave it out, or serve one target")

    def _count(self, drafter: Drafter) -> int:
        """How many targets a drafter serves."""
        return sum(each is drafter for each in self._drafter_of.values())

    def _make(self, name: str) -> Drafter:
        if name not in self._made:
            config = self.config
            self._made[name] = make_drafter(name, dtype=config.dtype, device=config.device, compiled=config.compile)
        return self._made[name]

    def _asked_for(self, drafter: Drafter | None) -> tuple[str, ...]:
        """The names that a drafter's members were made by; empty where one was handed over as an object."""
        members = [] if drafter is None else _members(drafter)
        names = tuple(name for name, made in self._made.items() if any(made is each for each in members))
        return names if len(names) == len(members) else ()

    def _plan(self) -> MemoryPlan:
        """Every target's caches hold as many tokens as any other's; what a drafter keeps, it keeps for all that it serves."""
        per_token = {name: target.bytes_per_token for name, target in self.targets.items()}
        weights = {name: target.parameter_bytes for name, target in self.targets.items()}
        for drafter in self.drafters:
            per_token[drafter.name] = drafter.bytes_per_token * self._count(drafter)
            weights[drafter.name] = getattr(drafter, "parameter_bytes", 0)
        device = next(iter(self.targets.values())).device
        return plan_memory(self.config, max(self._lengths.values()), device, weights, per_token)

    def _serve(self, name: str) -> Served:
        target, drafter = self.targets[name], self._drafter_of[name]
        target.allocate(self.memory_plan.max_tokens // BLOCK_SIZE)
        if drafter is not None:
            drafter.bind(self._host(name))
        served = Served(name, self._pipeline(target, drafter), self._lengths[name], self.config)
        served.drafters_asked_for = self._asked_for(drafter)
        if drafter is not None:
            longest = self.config.num_speculative_tokens
            served.engine.controller = make_controller(self.config.controller, longest, self._costs(served, drafter))
        return served

    def _pipeline(self, target: Any, drafter: Drafter | None) -> Pipeline:
        """Targets that share a drafter share its desk, too."""
        if drafter is None or self.config.pipeline == "serial":
            return Serial(target, drafter, self._branches(target))
        if id(drafter) not in self._desks:
            placement = Placement(target.device, self.config.drafter_threads)
            lane = ThreadLane(f"covey-drafter-{len(self._desks)}", placement)
            self._desks[id(drafter)] = Desk(drafter, lane, self.config.drafter_timeout, self._branches(target))
        chooser = Auto() if self.config.pipeline == "auto" else ByNumber()
        return Overlapped(target, self._desks[id(drafter)], self.config.max_num_seqs, chooser)

    def _branches(self, target: Any) -> bool:
        """Whether branches of drafts for a target are verified."""
        cheap = getattr(target, "branches", None)
        if self.config.branches == "on" and cheap is None:
            raise UnsupportedError(f"branches='on': target {target.name!r} does not verify branches of drafts; leave it auto")
        return self.config.branches == "on" or (self.config.branches == "auto" and bool(cheap))

    @staticmethod
    def _leave(desk: Desk) -> bool:
        """Close a desk; whether its drafter hangs, and cannot be closed."""
        desk.close()
        return desk.hung

    def _costs(self, served: Served, drafter: Drafter) -> Costs:
        """What is known of costs before the first request. Other people's targets and drafters have no names that costs could be kept
        by, and are not run before they must be: their costs are learned from their first steps."""
        own = isinstance(served.target, LocalTarget | ToyTarget) and all(each in self._made.values() for each in _members(drafter))
        if self.config.controller != "goodput" or not own:
            return Costs.fit([], [], drafter.looks_back)
        config, machine = self.config, provenance.machine()
        key = {
            "target": served.target.name,
            "drafter": [name for name, made in self._made.items() if made in _members(drafter)],
            **{name: getattr(served.target, name) for name in ("dtype", "device")},
            **{name: getattr(config, name) for name in ("compile", "max_num_seqs", "num_speculative_tokens", "prefill_chunk")},
            "max_model_len": served.max_model_len,
            "threads": torch.get_num_threads(),
            "machine": [machine[name] for name in ("system", "cpu", "usable_threads", "gpus")],
            "versions": provenance.versions(),
        }
        return costs_of(served, key, config.num_speculative_tokens, config.max_num_seqs)

    def _host(self, name: str) -> Host:
        target = self.targets[name]
        return Host(
            tokenizer=target.tokenizer,
            vocab_size=target.vocab_size,
            max_model_len=self._lengths[name],
            max_num_seqs=self.config.max_num_seqs,
            max_tokens=self.memory_plan.max_tokens,
            device=target.device,
            dtype=target.dtype,
            end_ids=target.end_ids,
            target=name,
            model=target.name,
            hidden_size=target.hidden_size,
            branches=self._branches(target),
        )

    def _write_trace(self, happened: Round) -> None:
        assert self._trace is not None
        self._trace.write(json.dumps(happened.to_dict()) + "\n")
        if happened.finish_reason:
            self._trace.flush()


def _make_target(target: Any, config: EngineConfig) -> Any:
    if not isinstance(target, str):
        return target
    if target == "toy":
        if config.device not in ("auto", "cpu") or config.dtype not in ("auto", "float64"):
            raise UnsupportedError(f"dtype={config.dtype!r}, device={config.device!r}: 'toy' runs in float64 on the CPU; leave both auto")
        return ToyTarget()
    return LocalTarget(load(target, dtype=config.dtype, device=config.device), compiled=config.compile)


def _members(drafter: Drafter) -> list[Drafter]:
    return [member.drafter for member in drafter.members] if isinstance(drafter, CollectiveDrafter) else [drafter]


def _max_model_len(config: EngineConfig, target: Any) -> int:
    """The longest sequence: what was asked for, or what the model can do."""
    longest: int = target.max_model_len
    if config.max_model_len is None:
        return longest
    if config.max_model_len > longest:
        raise CoveyError(f"max_model_len={config.max_model_len}: {target.name} handles {longest} positions; set it to at most {longest}")
    if isinstance(target, LocalTarget):
        check_context(target.runner.model.config, config.max_model_len)
    return config.max_model_len
