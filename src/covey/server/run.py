"""One request on its way through the engine: its turn, its pieces as they come, and what they add up to.

Whatever ends it (its end, a client that left, the time limit), its places and rows come back. Knows completions by number; knows
nothing of how they are told to the client.

    run = Run(service, caller, "smollm2", [ids], params, kind)
    async with contextlib.aclosing(run.pieces()) as pieces: ...; run.leave()
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from covey.engine.statistics import Statistics
from covey.llm import Chunk
from covey.sampling_params import SamplingParams
from covey.server.errors import ApiError, overloaded, refused
from covey.server.gate import Full
from covey.server.keys import Caller
from covey.server.service import Service

Piece = tuple[int, Chunk]
_DRAINING_SECONDS = 10


@dataclass
class _Clock:
    """When a completion's latest token came."""

    last: float | None = None


class Run:
    """prompts: token ids; each gets params.n completions, numbered through. kind: the kind of work, or empty.

    Raises ApiError 503 when the queue is full or the server drains, and 400 for params beyond the target's vocabulary.
    """

    def __init__(self, service: Service, caller: Caller, target: str, prompts: list[list[int]], params: SamplingParams, kind: str) -> None:
        if service.lifecycle.draining:
            raise overloaded("the server is about to stop: ask another one, or later", _DRAINING_SECONDS)
        try:
            served = service.llm.served(target)
            params.check_vocabulary(served.target.vocab_size)
            params.check_drafters(served.drafter_names)
        except ValueError as error:
            raise refused(error) from None
        self.caller, self.target, self.prompts, self.params = caller, target, prompts, params
        self.choices = len(prompts) * params.n
        self.statistics = Statistics()
        self.completion_tokens = [0] * self.choices
        self.cached_tokens = 0  # of the prompts, each counted once
        self._scope = caller.name  # what was read for one key serves that key alone
        self._service, self._kind = service, f"{caller.name}/{kind}" if kind else ""  # records of work are kept apart by key
        self.began = time.perf_counter()
        self._clocks = [_Clock() for _ in range(self.choices)]
        try:
            self._ticket = service.gates[target].enter(caller.name, self.choices)
        except Full as full:
            raise overloaded(f"{full}: queue_size={service.config.queue_size} requests of this key wait already", full.seconds) from None
        service.callers.begin(self)

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.prompts))

    @property
    def admitted(self) -> bool:
        """Whether it is with the engine."""
        return self._ticket.is_in

    def told(self) -> dict[str, Any]:
        """What its caller is shown of it while it is on its way."""
        counts = self.statistics
        return {
            "model": self.target,
            "label": self.params.label,
            "state": "running" if self.admitted else "waiting",
            "seconds": round(time.perf_counter() - self.began, 2),
            "completions": self.choices,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": sum(self.completion_tokens),
            "acceptance": counts.acceptance_rate if counts.num_draft_tokens else None,
        }

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Numbers of completions and their chunks, from the first admission to the last finish. To be closed (`aclosing`).

        Raises ApiError 503 when the server ends it, 500 when the engine fails on it.
        """
        await self._ticket.admitted()
        self._service.metrics.admitted(self.target, self.prompt_tokens, time.perf_counter() - self.began)
        async with contextlib.aclosing(self._merged()) as merged:
            async for number, chunk in merged:
                self._note(number, chunk)
                yield number, chunk

    def leave(self) -> None:
        """Give the places back. To be called when it is over, however it ended, also where nobody began to read its pieces."""
        self._ticket.leave()
        self._service.callers.end(self)

    def _stream(self, prompt: list[int]) -> AsyncGenerator[Chunk, None]:
        return self._service.llm.stream(prompt, self.params, model=self.target, kind=self._kind, scope=self._scope)

    async def _merged(self) -> AsyncGenerator[Piece, None]:
        """The pieces of all prompts as they come."""
        if len(self.prompts) == 1:
            async with contextlib.aclosing(self._stream(self.prompts[0])) as chunks:
                async for chunk in chunks:
                    yield chunk.index, chunk
            return
        arrived: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        readers = [asyncio.create_task(self._read(at, prompt, arrived)) for at, prompt in enumerate(self.prompts)]
        try:
            unfinished = self.choices
            while unfinished:
                piece = await arrived.get()
                if isinstance(piece, Exception):
                    raise piece
                unfinished -= piece[1].finish_reason is not None
                yield piece
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read(self, at: int, prompt: list[int], arrived: asyncio.Queue[Piece | Exception]) -> None:
        try:
            async with contextlib.aclosing(self._stream(prompt)) as chunks:
                async for chunk in chunks:
                    arrived.put_nowait((at * self.params.n + chunk.index, chunk))
        except Exception as error:
            arrived.put_nowait(error)

    def _note(self, number: int, chunk: Chunk) -> None:
        """Count a piece, and keep the times. Raises ApiError for a completion that did not end by itself."""
        now, metrics = time.perf_counter(), self._service.metrics
        if chunk.round is not None:
            self.statistics.add(chunk.round)
            self._service.callers.fared(self, chunk.round)
            if chunk.round.cached and number % self.params.n == 0:
                self.cached_tokens += chunk.round.cached
                metrics.reused(self.target, chunk.round.cached)
        if chunk.token_ids:
            self.completion_tokens[number] += len(chunk.token_ids)
            clock = self._clocks[number]
            if clock.last is not None:
                metrics.gap(self.target, now - clock.last, len(chunk.token_ids))
            elif all(each.last is None for each in self._clocks):
                metrics.first_token(self.target, now - self.began)
            clock.last = now
        if chunk.finish_reason is None:
            return
        self._ticket.give_back()
        metrics.completed(self.target, chunk.finish_reason)
        if chunk.finish_reason == "abort":
            raise overloaded("the server is about to stop: ask another one, or later", _DRAINING_SECONDS)
        if chunk.finish_reason == "error":
            raise ApiError(500, "the engine failed on this request: the server's log says why", code="engine_error")
        if self._ticket.places == 0:
            metrics.ended(self.target, now - self.began)
