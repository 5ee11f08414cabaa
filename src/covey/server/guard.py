"""The door: what every request passes before any endpoint, and what every answer passes on its way out.

In: host and origin, key, size. Out: x-request-id, one log line, and a plain 500 for what nobody expected. An ASGI middleware of its own,
because Starlette's base class would stand between an endpoint and the news that its client has left.

    api.add_middleware(Guard, keys=keys, origins=origins, max_body_bytes=4 << 20)
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from covey.server.connections import CROWDED, crowded
from covey.server.errors import ApiError, ClientGone, overloaded
from covey.server.keys import Caller, Keys
from covey.server.metrics import Metrics
from covey.server.origins import Origins

log = logging.getLogger("covey.server")

OPEN_PATHS = frozenset({"/health/live", "/health/ready", "/"})  # a probe has no key, and who opens a page cannot send one
PAGE_PATHS = "/page/"
ADMIN_PATHS = "/admin/"
ALWAYS_ANSWERED = frozenset({"/health/live", "/health/ready", "/metrics"})  # also where there are too many connections
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NOBODY = Caller("-")
_STOPPED_SECONDS = 10
_CLIENT_LEFT = 499  # in the log and in metrics; nobody reads the answer


class Guard:
    """See the module."""

    def __init__(self, app: ASGIApp, *, keys: Keys, origins: Origins, max_header_bytes: int, max_body_bytes: int, metrics: Metrics) -> None:
        self._app, self._keys, self._origins, self._metrics = app, keys, origins, metrics
        self._max_header_bytes, self._max_body_bytes = max_header_bytes, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        answer = _Answer(send, _request_id(headers))
        state = scope.setdefault("state", {})
        state["request_id"], state["caller"] = answer.request_id, _NOBODY
        began = time.perf_counter()
        try:
            if CROWDED in state and scope["path"] not in ALWAYS_ANSWERED:
                raise crowded(state[CROWDED])
            self._measure(scope, headers)
            state["caller"] = self._admit(scope["path"], headers)
            await self._app(scope, _Limited(receive, headers, self._max_body_bytes), answer)
        except ClientGone:
            pass
        except asyncio.CancelledError:  # the server ends, and waits for nobody any more
            await self._refuse(overloaded("the server stops: ask another one", _STOPPED_SECONDS), scope, receive, answer)
        except ApiError as error:
            await self._refuse(error, scope, receive, answer)
        except Exception:
            log.exception("request %s failed: a fault of covey", answer.request_id)
            await self._refuse(
                ApiError(500, f"a fault of the server's; its log says more under {answer.request_id}"), scope, receive, answer
            )
        finally:
            status = answer.status or _CLIENT_LEFT
            self._metrics.answered(status)
            milliseconds = (time.perf_counter() - began) * 1000
            caller = state["caller"].name
            line = "%s %s %d in %.0f ms, key %s, request %s"
            log.info(line, scope["method"], _harmless(scope["path"]), status, milliseconds, caller, answer.request_id)

    def _measure(self, scope: Scope, headers: Headers) -> None:
        """h11 has such a limit too, but looks only at what is incomplete: headers that arrive in one piece pass it."""
        size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(name) + len(value) + 4 for name, value in headers.raw)
        if size > self._max_header_bytes:
            said = f"the request line and headers have {size} bytes: at most {self._max_header_bytes} are read"
            raise ApiError(431, said, code="headers_too_large", headers={"connection": "close"})

    def _admit(self, path: str, headers: Headers) -> Caller:
        """Whose request it is. Raises ApiError for one that must not pass."""
        self._origins.check(headers.get("host", ""), headers.get("origin"))
        if path in OPEN_PATHS or path.startswith(PAGE_PATHS):
            return _NOBODY
        authorization = headers.get("authorization")
        if path.startswith(ADMIN_PATHS):
            if not self._keys.has_admin:
                raise ApiError(404, "admin calls are off: the server was started without COVEY_ADMIN_KEY", code="not_found")
            if not self._keys.is_admin(authorization):
                raise _unauthorised("this call takes the admin key")
            return Caller("admin")
        caller = self._keys.caller(authorization)
        if caller is None:
            raise _unauthorised("no known API key: send it as Authorization: Bearer KEY")
        return caller

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if not answer.status:
            await error.response(scope, receive, answer)


class _Answer:
    """An answer on its way out: its headers get the request's id, and its status is noted."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id, self.status = send, request_id, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            headers["x-content-type-options"] = "nosniff"
            headers.setdefault("cache-control", "no-store")
        await self._send(message)


class _Limited:
    """The request's body, as long as it is no larger than it may be."""

    def __init__(self, receive: Receive, headers: Headers, most: int) -> None:
        self._receive, self._most, self._got = receive, most, 0
        said = headers.get("content-length", "0")
        if said.isascii() and said.isdigit() and int(said[:20]) > most:
            raise _too_large(most)

    async def __call__(self) -> Message:
        message = await self._receive()
        self._got += len(message.get("body", b""))
        if self._got > self._most:
            raise _too_large(self._most)
        return message


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the body is larger than {most} bytes: send less", code="body_too_large", headers={"connection": "close"})


def _unauthorised(why: str) -> ApiError:
    return ApiError(401, why, code="invalid_api_key", headers={"www-authenticate": "Bearer"})


def _request_id(headers: Headers) -> str:
    """The client's own, where it is harmless, or a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else f"req-{secrets.token_hex(12)}"


def _harmless(path: str) -> str:
    """A path as it may stand in a log: a line of it must not look like two."""
    return path[:200].encode("unicode_escape").decode()
