"""Connections: how many there are at most, how long a client may take over what it says or hears, and what is no HTTP at all.

uvicorn's own limit answers in plain words, to probes as to everybody, and it waits for ever for a request that does not come or a reader
who does not read. Knows bytes and times; what a request beyond the limit is answered is for the door to say (`guard.py`).

    uvicorn.Config(app, http=connections(config, metrics.answered))
"""

from __future__ import annotations

import asyncio
import functools
import http
import json
import sys
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from covey.config import ServerConfig
from covey.server.errors import ApiError, overloaded
from covey.server.lingering import Lingering

CROWDED = "covey.crowded"  # in the state of a request that came by a connection beyond the limit
AGAIN_SECONDS = 5
_SPARE = 32  # connections beyond the limit, so that probes and metrics are answered still
_SPARE_SECONDS = 2.0  # that such a connection may take to say what it wants
_UNREAD_SECONDS = 60.0  # that a client may leave unread what is sent to it


def connections(config: ServerConfig, answered: Callable[[int], None]) -> Any:
    """What uvicorn makes a protocol of each connection by. answered is told the status of every answer that is given here."""
    return functools.partial(Connection, most=config.max_connections, head_seconds=config.body_seconds, answered=answered)


class Connection(H11Protocol):
    """One connection. Beyond `most` its requests are marked as CROWDED; a few more, and it is refused at once."""

    def __init__(self, *arguments: Any, most: int, head_seconds: float, answered: Callable[[int], None], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._most, self._head_seconds, self._answered = most, head_seconds, answered
        self._head = _Timer(self.loop, self._give_up)
        self._reader = _Timer(self.loop, lambda: self.transport.abort())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Lingering(transport, self, self._is_unfinished))  # type: ignore[arg-type]
        beyond = len(self.connections) - self._most
        if beyond > _SPARE:
            self._refuse(crowded(self._most))
            return
        if beyond > 0:
            self.app_state = {**self.app_state, CROWDED: self._most}
            self._head_seconds = min(self._head_seconds, _SPARE_SECONDS)
        self._mind_the_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._reader.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind_the_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.start(_UNREAD_SECONDS)

    def resume_writing(self) -> None:
        self._reader.stop()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is no HTTP, in the form that all answers have."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(ApiError(status, msg.lower().rstrip("."), code="invalid_http"))

    def _is_unfinished(self) -> bool:
        """Whether the client is in the midst of a request, or of what should have been one."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR) or bool(self.conn.trailing_data[0])

    def _mind_the_head(self) -> None:
        """The time runs while a request line and headers are awaited. Between two requests it is uvicorn's own, until the first byte."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._head.stop()
        else:
            self._head.start(self._head_seconds)

    def _give_up(self) -> None:
        """Who sent nothing yet is told nothing: browsers open connections ahead of need."""
        if not self.conn.trailing_data[0]:
            self.transport.close()
            return
        said = f"the request's headers did not come within {self._head_seconds:g} s: send them faster"
        self._refuse(ApiError(408, said, code="header_timeout"))

    def _refuse(self, error: ApiError) -> None:
        """Answer without an application, and close. One that is at work is told that nobody listens any more."""
        body = json.dumps(error.body).encode()
        headers = {**error.headers, "content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        phrase = http.HTTPStatus(error.status).phrase.encode()
        try:
            for event in (
                h11.Response(status_code=error.status, headers=list(headers.items()), reason=phrase),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            self._answered(error.status)
        except h11.LocalProtocolError:  # an answer had begun already
            pass
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def crowded(most: int) -> ApiError:
    """What a connection beyond the limit is answered."""
    error = overloaded(f"max_connections={most} connections are open: close some, or come back later", AGAIN_SECONDS)
    error.headers["connection"] = "close"
    return error


class _Timer:
    """Calls once, so many seconds after it was started first, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop, self._call = loop, call
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._call)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
