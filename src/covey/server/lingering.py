"""A lingering close: what was answered is still read by a client that had not finished speaking.

A socket that is closed while bytes lie unread in it is reset, and a reset throws away what the other side has not read yet: a client
that is refused in the midst of its body would see a broken connection instead of the answer that says why. So the answer is ended, what
still comes is thrown away, and the connection is closed when the client ends it, or some seconds later.

    super().connection_made(Lingering(transport, self, unfinished))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_SECONDS = 10.0  # that a client may go on speaking to nobody


class Lingering:
    """A transport of one connection. unfinished: whether its client has more to say. What lingers is cut off by closing it again."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol, unfinished: Callable[[], bool]) -> None:
        self._transport, self._protocol, self._unfinished = transport, protocol, unfinished
        self._lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing() or not self._unfinished() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._lingers = True
        self._transport.set_protocol(_Deaf(self._protocol, asyncio.get_running_loop().call_later(_SECONDS, self._transport.close)))
        self._transport.resume_reading()  # which a body that nobody took may have stopped
        self._transport.write_eof()


class _Deaf(asyncio.Protocol):
    """Throws away what comes, and leaves all else to the protocol before it."""

    def __init__(self, before: asyncio.Protocol, limit: asyncio.TimerHandle) -> None:
        self._before, self._limit = before, limit

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        self._before.connection_lost(exc)
