"""/admin/speculation: how targets are drafted for, read and changed while serving. The door lets only the admin's key in.

Knows names of fields; what they mean is for engine/tuning.py to say. No text changes by any of it.

    api.include_router(admin.router)
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from typing_extensions import TypedDict

from covey.errors import CoveyError
from covey.server.asked import asked_of, received
from covey.server.errors import ApiError, invalid, refused
from covey.server.openapi import described
from covey.server.schemas import Strict

router = APIRouter()
log = logging.getLogger("covey.server")

_PATIENCE = 30.0  # seconds that a step may take, after which the change is


class DraftingChanges(Strict):
    """What is to be changed; what is left out or null stays. members: the names of those that take part, at least one."""

    model: str | None = None
    num_speculative_tokens: int | None = None
    members: Annotated[list[str], Field(max_length=8)] | None = None
    min_survival: float | None = None
    thresholds: Annotated[dict[str, Annotated[list[float], Field(max_length=64)]], Field(max_length=8)] | None = None


_CHANGEABLE = [name for name in DraftingChanges.model_fields if name != "model"]


class Drafting(TypedDict):
    """How a target is drafted for. members: whether each takes part. Null is what there is none of."""

    num_speculative_tokens: int
    most_speculative_tokens: int
    members: dict[str, bool] | None
    min_survival: float | None
    thresholds: dict[str, list[float]] | None


class DraftingByModel(TypedDict):
    models: dict[str, Drafting]


@router.get("/admin/speculation", **described(None, DraftingByModel))
async def read(request: Request) -> Response:
    """How every target is drafted for."""
    service = asked_of(request).service
    return JSONResponse({"models": {target: await _within(service.llm.tuned(target)) for target in service.llm.targets}})


@router.patch("/admin/speculation", **described(DraftingChanges, Drafting))
async def change(request: Request) -> Response:
    """Change it, from the next round on. All that is asked for, or nothing."""
    asked, body = await received(request, DraftingChanges)
    target = asked.service.target(body.model)
    changes = {name: value for name, value in body.model_dump(exclude={"model"}).items() if value is not None}
    if not changes:
        raise invalid(None, f"nothing is to be changed: send one of {', '.join(_CHANGEABLE)}")
    try:
        before = await _within(asked.service.llm.tuned(target))
        after = await _within(asked.service.llm.tuned(target, **changes))
    except CoveyError as error:
        raise refused(error) from None
    told = ", ".join(f"{name} from {before[name]} to {after[name]}" for name in changes)
    log.warning("request %s, the admin's, changes for %s: %s", asked.request_id, target, told)
    return JSONResponse(after)


async def _within(work: Any) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            found: dict[str, Any] = await work
            return found
    except TimeoutError:
        raise ApiError(504, f"the engine made no step within {_PATIENCE:g} s: nothing was changed; ask later") from None
