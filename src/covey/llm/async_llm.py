"""`AsyncLLM`: any number of requests at a time, the engines in a thread of their own.

async with AsyncLLM("smollm2") as llm:
    async for chunk in llm.stream("The birds of passage"): print(chunk.text, end="")
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from covey.engine.generation import Event
from covey.engine.tuning import Tuning
from covey.engine.worker import Worker
from covey.llm.completion import Chunk, Completion
from covey.llm.front import Front
from covey.llm.request import Request
from covey.sampling_params import SamplingParams
from covey.types import Prompt


class AsyncLLM(Front):
    """LLM for asyncio: made of the same things, for any number of requests at a time."""

    def _begin(self) -> None:
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
        request, arrived = await self._prepared(prompt, params or SamplingParams(), model, scope)
        async for _ in self._events(request, arrived, on_start):
            pass
        return request.completions()

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
        request, arrived = await self._prepared(prompt, params or SamplingParams(), model, scope, kind)
        async with contextlib.aclosing(self._events(request, arrived, on_start)) as events:
            async for event in events:
                yield request.chunk(event)

    def abort(self, request_id: str) -> None:
        """End a request; it finishes with reason "abort" and what it has so far. An unknown id is ignored."""
        self._worker.abort(request_id)

    async def _prepared(
        self, prompt: Prompt, params: SamplingParams, model: str | None, scope: str, kind: str | None = None
    ) -> tuple[Request, asyncio.Queue[Event]]:
        """A request, and where the worker's thread puts its events."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Event] = asyncio.Queue()

        def listen(event: Event) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by the time an abort is through
                loop.call_soon_threadsafe(arrived.put_nowait, event)

        if params.grammar is not None:  # may take a while to compile, and others are waiting
            await asyncio.to_thread(self.served(model).grammars.compiled, params.grammar)
        return self._request(prompt, params, listen, model=model, scope=scope, kind=kind), arrived

    async def _events(
        self, request: Request, arrived: asyncio.Queue[Event], on_start: Callable[[str], None] | None
    ) -> AsyncGenerator[Event, None]:
        """Run it. Whoever stops listening has aborted it."""
        unfinished = len(request.generations)
        self._worker.add(request.engine, request.generations)
        if on_start is not None:
            on_start(request.id)
        try:
            while unfinished:
                event = await arrived.get()
                unfinished -= event.finish_reason is not None
                yield event
        finally:
            if unfinished:
                self._worker.abort(request.id)

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
