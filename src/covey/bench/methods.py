"""covey's own methods: plain decoding, fixed draft lengths and controllers, measured on one engine.

A method gets prompts as token ids and gives an Answer. All of covey's methods share one target, and plain decoding runs
in the very engine that speculates, with a request that asks for no draft. Knows nothing of other systems (peers.py).

    with Engines(settings) as engines: engines.method(parse_method("fixed-4")).answer(prompts)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Protocol

from covey.bench.measurement import Answer
from covey.bench.names import MethodName
from covey.bench.settings import BenchSettings
from covey.bench.tally import from_rounds
from covey.control import Goodput, make_controller
from covey.cost import Costs
from covey.errors import CoveyError
from covey.llm import LLM
from covey.sampling_params import SamplingParams
from covey.types import Prompt, Round


class Method(Protocol):
    """Something whose speed is measured. details says in JSON what it is: weights, numbers, drafters."""

    name: str
    details: dict[str, Any]

    def answer(self, prompts: Sequence[Sequence[int]]) -> Answer:
        """Answer prompts together; the clock runs from here to the last token."""
        ...

    def close(self) -> None: ...


class Engines:
    """One LLM for each set of drafters that the methods name, over one target: the weights are loaded once."""

    def __init__(self, settings: BenchSettings) -> None:
        self._settings = settings
        self._llms: dict[tuple[str, ...] | None, LLM] = {}
        self._costs: dict[tuple[str, ...] | None, Costs] = {}  # as they were measured at the start
        # Plain decoding shares the engine of the first method that drafts.
        drafting = [name for name in settings.method_names if name.kind == "covey"]
        self._plain_key = self._key(drafting[0]) if drafting else ()
        self.first = self._llm(self._plain_key)

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *exception: object) -> None:
        for llm in self._llms.values():
            if llm is not self.first:  # the target, which they share, is closed once
                for drafter in llm.drafters:
                    drafter.close()
        self.first.close()

    def method(self, name: MethodName) -> Method:
        """The method of that name. Raises CoveyError for a drafter that does not fit the target."""
        key = self._plain_key if name.kind == "plain" else self._key(name)
        return CoveyMethod(name, self._llm(key), self._costs[key], self._settings)

    def _key(self, name: MethodName) -> tuple[str, ...] | None:
        return self._settings.drafters if name.drafter is None else tuple(name.drafter.split("+"))

    def _llm(self, key: tuple[str, ...] | None) -> LLM:
        if key not in self._llms:
            target = self.first.target if self._llms else self._settings.target
            self._llms[key] = LLM(target, drafters=None if key is None else list(key), **self._settings.engine_options())
            controller = self._llms[key].served().engine.controller
            self._costs[key] = controller.costs if isinstance(controller, Goodput) else Costs()
        return self._llms[key]


class CoveyMethod:
    """covey with a controller of its own, which goes on learning from answer to answer; with length 0 for plain decoding."""

    def __init__(self, name: MethodName, llm: LLM, costs: Costs, settings: BenchSettings) -> None:
        if name.length and not llm.drafters:
            raise CoveyError(f"methods={name.name!r}: this run has no drafters; name some in drafters, or leave the method out")
        self.name = name.name
        self._llm = llm
        self._engine = llm.served().engine
        self._controller = make_controller(name.controller, name.length, deepcopy(costs))
        self._params = SamplingParams(
            temperature=settings.temperature,
            seed=settings.seed,
            max_tokens=settings.max_tokens,
            speculation={"num_tokens": name.length},
        )
        self.details = {
            "system": "covey",
            "weights": llm.target.name,
            "dtype": llm.target.dtype,
            "device": llm.target.device,
            "drafters": [drafter.name for drafter in llm.drafters] if name.length else [],
            "draft_length": name.length,
            "controller": name.controller if name.length else None,
            "compile": settings.compile,
        }

    def answer(self, prompts: Sequence[Sequence[int]]) -> Answer:
        asked: list[Prompt] = [list(ids) for ids in prompts]
        rounds: list[Round] = []
        self._engine.controller = self._controller
        forget = self._llm.observe(rounds.append)
        try:
            began = time.perf_counter()
            done = self._llm.generate(asked, self._params, progress=False)
            seconds = time.perf_counter() - began
        finally:
            forget()
        for completion in done:
            if completion.finish_reason == "error":
                raise CoveyError(f"{self.name}: the engine failed on a prompt ({completion.error}); no figure can be given")
        outputs = tuple(tuple(completion.token_ids) for completion in done)
        return Answer(seconds, tuple(map(len, outputs)), outputs, from_rounds(rounds))

    def close(self) -> None:
        """The engines belong to Engines."""
