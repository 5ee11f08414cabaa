"""What can be asked of the server itself: its models, its health, its version, its metrics, what it does now.

api.include_router(about.router)
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from typing_extensions import TypedDict

import covey
from covey.server.asked import asked_of
from covey.server.errors import overloaded
from covey.server.openapi import described, refusals
from covey.server.service import Service
from covey.server.streaming import EventStream

router = APIRouter()


class Model(TypedDict):
    """max_model_len: the most tokens of prompt and answer together."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class Health(TypedDict):
    status: Literal["live", "ready"]


class Version(TypedDict):
    version: str


def _model(service: Service, name: str) -> Model:
    longest = service.llm.served(name).max_model_len
    return {"id": name, "object": "model", "created": service.created, "owned_by": "covey", "max_model_len": longest}


@router.get("/v1/models", **described(None, ModelList))
async def models(request: Request) -> Response:
    """The models that requests can name."""
    service = asked_of(request).service
    return JSONResponse({"object": "list", "data": [_model(service, name) for name in service.llm.targets]})


@router.get("/v1/models/{model:path}", **described(None, Model))
async def model(request: Request, model: str) -> Response:
    """One model."""
    service = asked_of(request).service
    return JSONResponse(_model(service, service.target(model)))


@router.get("/health/live", responses={200: {"model": Health}, **refusals(403)}, response_model=None)
async def live() -> Response:
    """The process answers."""
    return JSONResponse({"status": "live"})


@router.get("/health/ready", responses={200: {"model": Health}, **refusals(403, 503)}, response_model=None)
async def ready(request: Request) -> Response:
    """Requests are taken, and the engine gets on with those it has."""
    if why := asked_of(request).service.lifecycle.why_not_ready():
        raise overloaded(f"not ready, {why}", 5)
    return JSONResponse({"status": "ready"})


@router.get("/version", **described(None, Version))
async def version() -> Response:
    """The version of covey."""
    return JSONResponse({"version": covey.__version__})


@router.get("/metrics", **described(None, None, media="text/plain"))
async def metrics(request: Request) -> Response:
    """Prometheus series; docs/serving.md lists them."""
    return Response(asked_of(request).service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/live", **described(None, None, media="text/event-stream"))
async def happening(request: Request) -> Response:
    """What happens, once a second, as server-sent events, the last minutes' at once. Requests and labels are those of the key that asks."""
    asked = asked_of(request)
    live, caller = asked.service.live, asked.caller
    live.enter(caller)
    return EventStream(live.follow(caller), lambda: live.leave(caller), seconds=None)
