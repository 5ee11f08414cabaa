"""The Python API: `LLM` for scripts, `AsyncLLM` for servers.

Turns prompts into sequences and sequences into completions. Knows nothing of how tokens come about.

    with LLM("smollm2") as llm:
        print(llm.generate("The birds of passage")[0].text)
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

from covey.engine.engine import Engine
from covey.engine.generation import Event, Generation
from covey.engine.progress import Progress
from covey.engine.served import Served, kind_of_work
from covey.engine.statistics import Statistics
from covey.engine.system import System
from covey.engine.tuning import Tuning
from covey.engine.worker import Worker
from covey.errors import CoveyError
from covey.sampling_params import SamplingParams
from covey.tools import Tool
from covey.types import Drafter, FinishReason, Prompt, Round, TokenLogprob


@dataclass(frozen=True)
class Completion:
    """The answer to one prompt. error is set, and finish_reason "error", when the engine failed on it."""

    prompt_index: int
    index: int
    request_id: str
    text: str
    token_ids: list[int]
    finish_reason: FinishReason
    logprobs: list[TokenLogprob] | None
    stats: Statistics
    error: str | None = None


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed completion. text may be empty while a character or a stop string is incomplete.

    index tells the n completions of a request apart; logprobs, where they were asked for, has one entry for each of token_ids.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None
    round: Round | None
    error: str | None = None
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] | None = None


def _completion(generation: Generation, prompt_index: int) -> Completion:
    sequence = generation.sequence
    return Completion(
        prompt_index=prompt_index,
        index=sequence.index,
        request_id=sequence.request_id,
        text=generation.text.text,
        token_ids=sequence.output,
        finish_reason=sequence.finish_reason or "abort",
        logprobs=generation.logprobs,
        stats=generation.statistics,
        error=generation.error,
    )


def _chunk(event: Event, told: int = 0) -> Chunk:
    """told: how many of the completion's tokens earlier chunks had."""
    generation, tokens = event.generation, event.token_ids
    logprobs = None if generation.logprobs is None else tuple(generation.logprobs[told : told + len(tokens)])
    return Chunk(event.text, tokens, event.finish_reason, event.round, generation.error, generation.sequence.index, logprobs)


def _as_list(prompts: Prompt | list[Prompt]) -> list[Prompt]:
    """One prompt or many: a list of ids, or of messages, is one."""
    if isinstance(prompts, str):
        return [prompts]
    if prompts and all(isinstance(p, int | dict) for p in prompts):
        return [prompts]  # type: ignore[list-item]
    return list(prompts)  # type: ignore[arg-type]


def _params_for(params: SamplingParams | list[SamplingParams] | None, count: int) -> list[SamplingParams]:
    if params is None:
        params = SamplingParams()
    if isinstance(params, SamplingParams):
        return [params] * count
    if len(params) != count:
        raise CoveyError(f"params has {len(params)} entries for {count} prompts: give one for all, or one each")
    return params


def _named(target: Any, targets: Mapping[str, Any] | None) -> dict[str, Any]:
    """The targets by the names that requests call them by: one goes by its own."""
    if (target is None) == (targets is None):
        raise CoveyError("target and targets: give one of them, a target or a dict of names and targets")
    if targets is None:
        return {target if isinstance(target, str) else target.name: target}
    if not isinstance(targets, Mapping) or not targets:
        raise CoveyError(f"targets={targets!r}: targets must be a dict of at least one name and target")
    return dict(targets)


def _models_for(model: str | list[str] | None, count: int) -> list[str | None]:
    if not isinstance(model, list):
        return [model] * count
    if len(model) != count:
        raise CoveyError(f"model has {len(model)} entries for {count} prompts: give one for all, or one each")
    return list(model)


class _Front:
    """What LLM and AsyncLLM have in common."""

    def __init__(
        self, target: Any, targets: Mapping[str, Any] | None, drafters: list[str | Drafter] | None, options: dict[str, Any]
    ) -> None:
        self._system = System(_named(target, targets), drafters, options)

    config = property(lambda self: self._system.config)
    memory_plan = property(lambda self: self._system.memory_plan)
    drafters = property(lambda self: self._system.drafters)
    # Of the only target; served(name) has them where there are several.
    tokenizer = property(lambda self: self.served().tokenizer)
    target = property(lambda self: self.served().target)
    max_model_len = property(lambda self: self.served().max_model_len)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names that requests call targets by."""
        return tuple(self._system.targets)

    def served(self, model: str | None = None) -> Served:
        """One target, with its tokenizer and limits. Raises CoveyError for an unknown name, or none where there are several."""
        return self._system.served(model)

    def encode(self, prompt: Prompt, *, model: str | None = None, tools: Seq[Tool] = ()) -> list[int]:
        """Token ids of a prompt as a target sees it; tools are told to it along with chat messages."""
        return self.served(model).encode(prompt, tools)

    def observe(self, observer: Callable[[Round], None]) -> Callable[[], None]:
        """Call observer, in the engine's thread, with every Round of every sequence from now on; returns a function that ends it."""
        return self._system.observe(observer)


class LLM(_Front):
    """Targets with their drafters, in this process.

    target: a Hugging Face folder or hub id, a .gguf file, "smollm2", "toy", or a Target object; or several as targets, a
    dict of names and targets, which requests then choose from by `model`. Targets of one vocabulary share their drafters:
    a nested draft's weights are held once. drafters: names or Drafter objects; None takes what is known to be good, []
    decodes plainly. The options are those of `covey.config.EngineConfig`. May be called from several threads; they share
    the engines' steps.

    Raises CoveyError (one line, with the fix) for what does not fit together.
    """

    def __init__(
        self,
        target: Any = None,
        *,
        targets: Mapping[str, Any] | None = None,
        drafters: list[str | Drafter] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(target, targets, drafters, options)
        self._lock = threading.Lock()

    def generate(
        self,
        prompts: Prompt | list[Prompt],
        params: SamplingParams | list[SamplingParams] | None = None,
        *,
        model: str | list[str] | None = None,
        scope: str = "",
        progress: bool | None = None,
    ) -> list[Completion]:
        """Completions in the order of the prompts, n for each.

        model: the target, where several are served; one for all prompts, or one each. scope: on whose behalf; what was read of a
        prompt serves later ones that begin alike, but never those of another scope. progress: a bar with tokens/s and
        acceptance; None shows one for several prompts on a terminal. All prompts are checked before the first is run:
        CoveyError or ValueError says what is wrong with which field.
        """
        many = _as_list(prompts)
        each = _params_for(params, len(many))
        served = [self.served(name) for name in _models_for(model, len(many))]
        encoded = [to.encode(prompt) for to, prompt in zip(served, many, strict=True)]
        show = len(many) > 1 and sys.stderr.isatty() if progress is None else progress
        with Progress(sum(p.n for p in each), show) as bar:
            kinds = [kind_of_work(prompt, p) for prompt, p in zip(many, each, strict=True)]
            made = [to.generations(ids, p, bar.listen, k, scope) for to, ids, p, k in zip(served, encoded, each, kinds, strict=True)]
            self._run([(to.engine, g) for to, request in zip(served, made, strict=True) for g in request])
        return [_completion(g, i) for i, request in enumerate(made) for g in request]

    def stream(self, prompt: Prompt, params: SamplingParams | None = None, *, model: str | None = None, scope: str = "") -> Iterator[Chunk]:
        """Chunks of one completion as it grows, the last with a finish_reason. Leaving the loop aborts the request.

        scope: as for generate.
        """
        params = params or SamplingParams()
        if params.n != 1:
            raise CoveyError(f"n={params.n}: stream gives one completion; use generate, or stream n times")
        events: list[Event] = []
        served = self.served(model)
        (generation,) = served.generations(served.encode(prompt), params, events.append, kind_of_work(prompt, params), scope)
        return self._stream(served.engine, generation, events)

    def _stream(self, engine: Engine, generation: Generation, events: list[Event]) -> Iterator[Chunk]:
        with self._lock:
            engine.add(generation)
        told = 0
        try:
            while not generation.sequence.finished or events:
                with self._lock:
                    if not events:
                        engine.step()
                while events:
                    event = events.pop(0)
                    yield _chunk(event, told)
                    told += len(event.token_ids)
        finally:
            if not generation.sequence.finished:
                with self._lock:
                    engine.abort(generation.sequence.request_id)

    def _run(self, generations: list[tuple[Engine, Generation]]) -> None:
        """Step until these are finished, engines in turn; whatever interrupts it aborts them, so that no row is lost."""
        with self._lock:
            for engine, generation in generations:
                engine.add(generation)
        engines = list(dict.fromkeys(engine for engine, _ in generations))
        try:
            while not all(g.sequence.finished for _, g in generations):
                for engine in engines:
                    with self._lock:
                        engine.step()
        finally:
            with self._lock:
                for engine, generation in generations:
                    if not generation.sequence.finished:
                        engine.abort(generation.sequence.request_id)

    def close(self) -> None:
        """Give back memory. The object is unusable afterwards."""
        with self._lock:
            self._system.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncLLM(_Front):
    """The same for asyncio: the engines in a thread of their own, any number of requests at a time."""

    def __init__(
        self,
        target: Any = None,
        *,
        targets: Mapping[str, Any] | None = None,
        drafters: list[str | Drafter] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(target, targets, drafters, options)
        self._worker = Worker(self._system.engines)

    async def generate(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        model: str | None = None,
        scope: str = "",
        on_start: Callable[[str], None] | None = None,
    ) -> list[Completion]:
        """The n completions of one prompt. Cancelling the task aborts it.

        scope: as for LLM.generate. on_start gets the request id, for `abort`.
        """
        generations: list[Generation] = []
        async for _ in self._events(self.served(model), prompt, params or SamplingParams(), scope, generations, on_start):
            pass
        return [_completion(g, 0) for g in generations]

    async def stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        model: str | None = None,
        kind: str | None = None,
        scope: str = "",
        on_start: Callable[[str], None] | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Chunks of the n completions as they come; closing the iterator aborts the request.

        kind: the kind of work, which a collective keeps its members' records by; None takes it from label or system prompt. scope: as
        for LLM.generate.
        """
        params = params or SamplingParams()
        told = [0] * params.n
        events = self._events(self.served(model), prompt, params, scope, [], on_start, kind)
        async with contextlib.aclosing(events):
            async for event in events:
                index = event.generation.sequence.index
                yield _chunk(event, told[index])
                told[index] += len(event.token_ids)

    def abort(self, request_id: str) -> None:
        """End a request; it finishes with reason "abort" and what it has so far. An unknown id is ignored."""
        self._worker.abort(request_id)

    async def _events(
        self,
        served: Served,
        prompt: Prompt,
        params: SamplingParams,
        scope: str,
        generations: list[Generation],
        on_start: Callable[[str], None] | None,
        kind: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Event] = asyncio.Queue()

        def listen(event: Event) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by the time an abort is through
                loop.call_soon_threadsafe(arrived.put_nowait, event)

        if params.grammar is not None:
            await asyncio.to_thread(served.grammars.compiled, params.grammar)  # may take a while, and others are waiting
        kind = kind_of_work(prompt, params) if kind is None else kind
        generations += served.generations(served.encode(prompt), params, listen, kind, scope)
        request_id = generations[0].sequence.request_id
        unfinished = len(generations)
        self._worker.add(served.engine, generations)
        if on_start is not None:
            on_start(request_id)
        try:
            while unfinished:
                event = await arrived.get()
                unfinished -= event.finish_reason is not None
                yield event
        finally:
            if unfinished:
                self._worker.abort(request_id)

    async def tuned(self, model: str | None = None, **changes: Any) -> dict[str, Any]:
        """Change how a target is drafted for, from its next round on, and return how it is now; without changes only that.

        No text changes by it. See engine/tuning.py for what there is. Raises CoveyError naming what cannot be.
        """
        tuning = Tuning(self.served(model), self.config)
        return await asyncio.wrap_future(self._worker.do(lambda: tuning.change(changes)))

    def close(self) -> None:
        """Abort what is running, end the thread, give back memory."""
        self._worker.close()
        self._system.close()

    async def __aenter__(self) -> AsyncLLM:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
