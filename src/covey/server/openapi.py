"""The OpenAPI document: what FastAPI knows of the routes, and the bodies that covey reads by itself.

Knows schemas; knows nothing of requests.

    @router.post("/v1/chat/completions", **described(ChatRequest, ChatCompletion))
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

import covey
from covey.server.errors import ErrorBody

_REF = "#/components/schemas/{model}"
_BODIES: dict[str, type[BaseModel]] = {}
_REFUSED = (400, 401, 403, 404, 408, 413, 415, 431, 500, 503, 504)
# A stream is described by its events. That is a word of OpenAPI 3.2; readers of 3.1 see a stream of which nothing is said.
_STREAM = {"itemSchema": {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}}
_KEYS = {"bearer": {"type": "http", "scheme": "bearer"}}


def described(body: type[BaseModel] | None, answer: Any, *, streams: bool = False, media: str = "application/json") -> dict[str, Any]:
    """What a route says of itself: its body, its answer, its refusals."""
    extra: dict[str, Any] = {}
    if body is not None:
        if _BODIES.setdefault(body.__name__, body) is not body:
            raise _clash(body.__name__)
        content = {"application/json": {"schema": {"$ref": _REF.format(model=body.__name__)}}}
        extra["requestBody"] = {"required": True, "content": content}
    success: dict[str, Any] = {"description": "Success"}
    if answer is not None:
        success["model"] = answer
    if answer is None or streams:
        told = "text/event-stream" if streams else media
        success["content"] = {told: _STREAM if told == "text/event-stream" else {"schema": {"type": "string"}}}
    return {"responses": {200: success, **refusals(*_REFUSED)}, "openapi_extra": extra, "response_model": None}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": "Refused"} for status in statuses}


def document(api: FastAPI) -> dict[str, Any]:
    """Made once. Every call but the probes takes a key, where the server has keys. Raises ValueError for two schemas of one name."""
    if api.openapi_schema is None:
        made = get_openapi(title="covey", version=covey.__version__, description=api.description, routes=api.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name, body in _BODIES.items():
            schema = body.model_json_schema(ref_template=_REF)
            _join(schemas, {**schema.pop("$defs", {}), name: schema})
        made["components"]["securitySchemes"] = _KEYS
        made["security"] = [{"bearer": []}, {}]
        api.openapi_schema = made
    return api.openapi_schema


def _join(schemas: dict[str, Any], more: dict[str, Any]) -> None:
    """References go by a class's name alone, so another schema of that name would take its place without a word."""
    for name, schema in more.items():
        if schemas.setdefault(name, schema) != schema:
            raise _clash(name)


def _clash(name: str) -> ValueError:
    return ValueError(f"{name}: two schemas of the OpenAPI document have this name: rename one of the classes")
