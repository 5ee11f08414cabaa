"""What goes wrong with a request, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

Knows statuses and words; knows nothing of what was asked.

    raise invalid("n", "n=99: n must be a whole number from 1 to 16")
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

_TYPES = {401: "authentication_error", 403: "permission_error", 500: "server_error", 503: "service_unavailable", 504: "timeout"}
_FIELD = re.compile(r"[a-z_][a-z_0-9]*(?:\.[a-z_][a-z_0-9]*|\[\d+\])*")


class ErrorDetail(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """The body of every answer that is no success."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer that is no success. param: the field that it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> ErrorBody:
        kind = _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)


def invalid(param: str | None, message: str, code: str | None = None) -> ApiError:
    """A request that its sender must change."""
    return ApiError(400, message, param=param, code=code)


def refused(error: Exception, names: Mapping[str, str] | None = None) -> ApiError:
    """covey's own one-line error of a value, which begins with its field's name. names: what a field is called in this request."""
    message = " ".join(str(error).split())
    found = _FIELD.match(message)
    param = found.group() if found else None
    if param is not None and names and param in names:
        message = message.replace(param, names[param])
        param = names[param]
    code = "context_length_exceeded" if "max_model_len" in message else None
    return invalid(param, message, code)


def overloaded(message: str, seconds: int) -> ApiError:
    """503: come back after so many seconds."""
    return ApiError(503, message, code="overloaded", headers={"retry-after": str(seconds)})


class ClientGone(Exception):
    """Nobody is there any more to be answered."""


def install(api: FastAPI) -> None:
    """Give what FastAPI and Starlette answer by themselves (404, 405 ...) the same shape."""

    async def ours(request: Request, error: Any) -> JSONResponse:
        return error.response

    async def theirs(request: Request, error: Any) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        said = f"{request.method} {request.url.path}: {str(error.detail).lower()}"
        return ApiError(error.status_code, said, code=code, headers=error.headers).response

    api.add_exception_handler(ApiError, ours)
    api.add_exception_handler(HTTPException, theirs)
