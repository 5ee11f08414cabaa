"""A request as endpoints see it: who asks, for what, of which server.

Knows where the door left what it found out; knows nothing of any endpoint.

    asked, body = await received(request, ChatRequest)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from fastapi import Request

from covey.server.bodies import Body, read
from covey.server.keys import Caller
from covey.server.service import Service

log = logging.getLogger("covey.server")


@dataclass(frozen=True)
class Asked:
    """One request."""

    service: Service
    caller: Caller
    request_id: str

    def note_prompt(self, prompt: object) -> None:
        """Write a prompt into the log, where the operator wants that."""
        if self.service.config.log_prompts:
            log.info("request %s asks %r", self.request_id, prompt)


def asked_of(request: Request) -> Asked:
    return Asked(request.app.state.service, request.state.caller, request.state.request_id)


async def received(request: Request, schema: type[Body]) -> tuple[Asked, Body]:
    """The request and its body. Raises ApiError and ClientGone, see bodies.read."""
    asked = asked_of(request)
    return asked, await read(request, schema, asked.service.texts, asked.service.config.body_seconds)
