"""From the bytes of a request to what was asked: JSON, checked field by field, in a thread, so that nobody else waits for it.

Knows schemas by their type; knows nothing of what fields mean.

    body = await read(request, ChatRequest, pool, seconds=30)
"""

from __future__ import annotations

import asyncio
import difflib
import itertools
import re
import reprlib
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import ClientDisconnect

from covey.server.errors import ApiError, ClientGone, invalid

Body = TypeVar("Body", bound=BaseModel)

_MOST_PARTS = 100_000
_KEY = re.compile(rb'"\s*:')
_short = reprlib.Repr()
_short.maxstring, _short.maxother, _short.maxlong, _short.maxlevel = 60, 60, 40, 2


async def read(request: Request, schema: type[Body], pool: Executor, seconds: float) -> Body:
    """Raises ApiError for what is no such body, and ClientGone."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"content-type is {kind[:60]!r}: send application/json", code="unsupported_media_type")
    try:
        async with asyncio.timeout(seconds):
            raw = await request.body()
    except TimeoutError:
        raise ApiError(408, f"the body did not come within {seconds:g} s: send it faster", code="body_timeout") from None
    except ClientDisconnect:
        raise ClientGone from None
    return await asyncio.get_running_loop().run_in_executor(pool, parse, raw, schema)


def parse(raw: bytes, schema: type[Body]) -> Body:
    """Raises ApiError naming the first field that is wrong."""
    if _parts(raw) > _MOST_PARTS:
        raise invalid(
            None, f"the body has more than {_MOST_PARTS} fields, objects and lists, or as many such marks in its texts: send less"
        )
    try:
        data = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise invalid(None, f"the body is not valid JSON: {str(error)[:120]}") from None
    if not isinstance(data, dict):
        raise invalid(None, f"the body is a JSON {type(data).__name__}: it must be an object")
    for name in data:
        if name not in schema.model_fields:
            raise _unknown(name, schema)
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise _first(error) from None


def _parts(raw: bytes) -> int:
    """About how many fields, objects and lists there are. Making millions of them would stop every other thread for half a second."""
    keys = sum(1 for _ in itertools.islice(_KEY.finditer(raw), _MOST_PARTS))
    return raw.count(b"{") + raw.count(b"[") + keys


def _unknown(name: str, schema: type[BaseModel]) -> ApiError:
    name = name[:60]
    near = difflib.get_close_matches(name, schema.model_fields, n=1, cutoff=0.8)
    hint = f"unknown field {name!r}: did you mean {near[0]}?" if near else f"{name}: this server does not support it; leave it out"
    return invalid(name, hint, "unsupported_field")


def _first(error: ValidationError) -> ApiError:
    """One complaint, in covey's form: field, value, fix. Of a union's branches that which got furthest is the one that was meant."""
    every = error.errors(include_url=False, include_context=False)
    same = [each for each in every if each["loc"][0] == every[0]["loc"][0]]
    found = min(same, key=lambda each: (-len(_place(each)), each["type"].endswith("_type")))
    param = _spelled(_place(found))
    if found["type"] == "extra_forbidden":
        return invalid(param, f"{param}: this server does not support it; leave it out", "unsupported_field")
    said = found["msg"].removeprefix("Value error, ")
    said = said[:1].lower() + said[1:]
    return invalid(param, f"{param} is required" if found["type"] == "missing" else f"{param}={_short.repr(found['input'])}: {said}")


def _place(error: ErrorDetails) -> list[int | str]:
    """Where it is, without the names of branches; an unknown field may be called as one of them."""
    *before, last = error["loc"]
    keep = error["type"] == "extra_forbidden" or not _is_branch(last)
    return [part for part in before if not _is_branch(part)] + [last] * keep


def _is_branch(part: int | str) -> bool:
    """pydantic names the branch of a union in a field's place: `list[str]`, `list[TextPart]`, `str`."""
    return isinstance(part, str) and ("[" in part or part in ("str", "int", "float"))


def _spelled(place: Sequence[Any]) -> str:
    """messages[0].content"""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in place]
    return "".join(parts).removeprefix(".")
