"""The OpenAPI document: what it holds is told apart by name."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from covey.server import openapi
from covey.server.app import create_app  # noqa: F401 - its routes have their bodies described
from covey.server.schemas import ChatRequest


def test_two_bodies_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(openapi, "_BODIES", dict(openapi._BODIES))
    openapi.described(ChatRequest, None)  # the same class again is the same
    with pytest.raises(ValueError, match="ChatRequest: two schemas"):
        openapi.described(type("ChatRequest", (BaseModel,), {}), None)


def test_parts_of_two_bodies_that_have_one_name_are_refused(monkeypatch, server):
    """A part of one body has the name of a part of another, or of an answer, and another shape."""
    part = type("StreamOptions", (BaseModel,), {"__annotations__": {"other": int}})
    body = type("NewRequest", (BaseModel,), {"__annotations__": {"stream_options": part}})
    monkeypatch.setattr(openapi, "_BODIES", {**openapi._BODIES, "NewRequest": body})
    monkeypatch.setattr(server.server.app, "openapi_schema", None)
    with pytest.raises(ValueError, match="StreamOptions: two schemas"):
        openapi.document(server.server.app)
