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
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from covey.engine.generation import Event, Generation
from covey.engine.progress import Progress
from covey.engine.statistics import Statistics
from covey.engine.system import System
from covey.engine.worker import Worker
from covey.errors import CoveyError
from covey.sampling_params import SamplingParams
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
    """A piece of a streamed completion. text may be empty while a character or a stop string is incomplete."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None
    round: Round | None
    error: str | None = None


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


def _chunk(event: Event) -> Chunk:
    return Chunk(event.text, event.token_ids, event.finish_reason, event.round, event.generation.error)


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


class LLM:
    """A target with its drafters, in this process.

    target: a Hugging Face folder or hub id, a .gguf file, "smollm2", "toy", or a Target object. drafters: names or
    Drafter objects; None takes what is known to be good, [] decodes plainly. The options are those of
    `covey.config.EngineConfig`. May be called from several threads; they share the engine's steps.

    Raises CoveyError (one line, with the fix) for what does not fit together.
    """

    def __init__(self, target: Any, *, drafters: list[str | Drafter] | None = None, **options: Any) -> None:
        self._system = System(target, drafters, options)
        self._lock = threading.Lock()

    config = property(lambda self: self._system.config)
    memory_plan = property(lambda self: self._system.memory_plan)
    tokenizer = property(lambda self: self._system.tokenizer)
    target = property(lambda self: self._system.target)
    drafters = property(lambda self: self._system.drafters)
    max_model_len = property(lambda self: self._system.max_model_len)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt as this target sees it."""
        return self._system.encode(prompt)

    def observe(self, observer: Callable[[Round], None]) -> Callable[[], None]:
        """Call observer with every Round of every sequence from now on; returns a function that ends it."""
        return self._system.observe(observer)

    def generate(
        self, prompts: Prompt | list[Prompt], params: SamplingParams | list[SamplingParams] | None = None, *, progress: bool | None = None
    ) -> list[Completion]:
        """Completions in the order of the prompts, n for each.

        progress: a bar with tokens/s and acceptance; None shows one for several prompts on a terminal. All prompts
        are checked before the first is run: CoveyError or ValueError says what is wrong with which field.
        """
        many = _as_list(prompts)
        each = _params_for(params, len(many))
        encoded = [self._system.encode(prompt) for prompt in many]
        show = len(many) > 1 and sys.stderr.isatty() if progress is None else progress
        with Progress(sum(p.n for p in each), show) as bar:
            made = [self._system.generations(ids, p, bar.listen) for ids, p in zip(encoded, each, strict=True)]
            self._run([g for request in made for g in request])
        return [_completion(g, i) for i, request in enumerate(made) for g in request]

    def stream(self, prompt: Prompt, params: SamplingParams | None = None) -> Iterator[Chunk]:
        """Chunks of one completion as it grows, the last with a finish_reason. Leaving the loop aborts the request."""
        params = params or SamplingParams()
        if params.n != 1:
            raise CoveyError(f"n={params.n}: stream gives one completion; use generate, or stream n times")
        events: list[Event] = []
        (generation,) = self._system.generations(self._system.encode(prompt), params, events.append)
        return self._stream(generation, events)

    def _stream(self, generation: Generation, events: list[Event]) -> Iterator[Chunk]:
        with self._lock:
            self._system.engine.add(generation)
        try:
            while not generation.sequence.finished or events:
                with self._lock:
                    if not events:
                        self._system.engine.step()
                while events:
                    yield _chunk(events.pop(0))
        finally:
            if not generation.sequence.finished:
                with self._lock:
                    self._system.engine.abort(generation.sequence.request_id)

    def _run(self, generations: list[Generation]) -> None:
        """Step until these are finished; whatever interrupts it aborts them, so that no row is lost."""
        with self._lock:
            for generation in generations:
                self._system.engine.add(generation)
        try:
            while not all(g.sequence.finished for g in generations):
                with self._lock:
                    self._system.engine.step()
        finally:
            with self._lock:
                for generation in generations:
                    if not generation.sequence.finished:
                        self._system.engine.abort(generation.sequence.request_id)

    def close(self) -> None:
        """Give back memory. The object is unusable afterwards."""
        with self._lock:
            self._system.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncLLM:
    """The same for asyncio: one engine in a thread of its own, any number of requests at a time."""

    def __init__(self, target: Any, *, drafters: list[str | Drafter] | None = None, **options: Any) -> None:
        self._system = System(target, drafters, options)
        self._worker = Worker(self._system.engine)

    config = property(lambda self: self._system.config)
    target = property(lambda self: self._system.target)
    memory_plan = property(lambda self: self._system.memory_plan)
    tokenizer = property(lambda self: self._system.tokenizer)

    def observe(self, observer: Callable[[Round], None]) -> Callable[[], None]:
        """Call observer, in the engine's thread, with every Round; returns a function that ends it."""
        return self._system.observe(observer)

    async def generate(
        self, prompt: Prompt, params: SamplingParams | None = None, *, on_start: Callable[[str], None] | None = None
    ) -> list[Completion]:
        """The n completions of one prompt. on_start gets the request id, for `abort`. Cancelling the task aborts it."""
        generations: list[Generation] = []
        async for _ in self._events(prompt, params or SamplingParams(), generations, on_start):
            pass
        return [_completion(g, 0) for g in generations]

    async def stream(
        self, prompt: Prompt, params: SamplingParams | None = None, *, on_start: Callable[[str], None] | None = None
    ) -> AsyncIterator[Chunk]:
        """Chunks of one completion; closing the iterator aborts the request."""
        params = params or SamplingParams()
        if params.n != 1:
            raise CoveyError(f"n={params.n}: stream gives one completion; use generate, or stream n times")
        async for event in self._events(prompt, params, [], on_start):
            yield _chunk(event)

    def abort(self, request_id: str) -> None:
        """End a request; it finishes with reason "abort" and what it has so far. An unknown id is ignored."""
        self._worker.abort(request_id)

    async def _events(
        self, prompt: Prompt, params: SamplingParams, generations: list[Generation], on_start: Callable[[str], None] | None
    ) -> AsyncIterator[Event]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Event] = asyncio.Queue()

        def listen(event: Event) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by the time an abort is through
                loop.call_soon_threadsafe(arrived.put_nowait, event)

        generations += self._system.generations(self._system.encode(prompt), params, listen)
        request_id = generations[0].sequence.request_id
        unfinished = len(generations)
        self._worker.add(generations)
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

    def close(self) -> None:
        """Abort what is running, end the thread, give back memory."""
        self._worker.close()
        self._system.close()

    async def __aenter__(self) -> AsyncLLM:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
