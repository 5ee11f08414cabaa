"""Server-sent events, and the watch over clients: work stops when nobody waits for it any more.

Knows ASGI; knows nothing of what is sent.

    return EventStream(events(), run.leave, seconds=600)        # an async generator of JSON objects
    answer = await while_waited_for(request.receive, work())
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from covey.server.errors import ApiError, ClientGone

Result = TypeVar("Result")
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
_LAST_WORD = 1.0  # seconds that a client has to take the news that its time is up


async def while_waited_for(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """What the work returns; it is cancelled, and ClientGone raised, as soon as the client leaves. The body must have been read."""
    task, watch = asyncio.create_task(work), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Sends each object of `events` as it comes, then [DONE]. What goes wrong before the first is an answer of its own.

    leave is called when it is over, however it ends, and whether or not it began. seconds: the most that it may take; None for no end.
    """

    def __init__(self, events: AsyncGenerator[dict[str, Any], None], leave: Callable[[], None], seconds: float | None) -> None:
        self._events, self._leave, self._seconds = events, leave, seconds
        self._started = False
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_waited_for(receive, self._send(send))
        finally:
            self._leave()

    async def _send(self, send: Send) -> None:
        try:
            async with within(self._seconds), contextlib.aclosing(self._events) as events:
                async for event in events:
                    await self._write(send, _event(event))
                await self._write(send, b"data: [DONE]\n\n", more=False)
        except ApiError as error:
            if not self._started:
                raise
            try:
                async with asyncio.timeout(_LAST_WORD):  # too late for a status: clients look for an error in the stream
                    await self._write(send, _event(error.body), more=False)
            except TimeoutError:  # nobody reads
                raise ClientGone from None

    async def _write(self, send: Send, data: bytes, more: bool = True) -> None:
        if not self._started:
            self._started = True
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        await send({"type": "http.response.body", "body": data, "more_body": more})


@contextlib.asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Raises ApiError 504 in what takes longer. Not for use inside of a generator: whoever reads it would be cancelled."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ApiError(504, f"the request was not done within {seconds:g} s: ask for less", code="request_timeout") from None


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
