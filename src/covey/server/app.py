"""Puts the server together: the service, the door, the endpoints.

The one place that knows all the parts of the server; knows nothing of ports, signals or settings files.

    app = create_app(llm, ServerConfig(), SamplingParams(), Keys({}))
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.telemetry import TelemetryConfig

import covey
from covey.config import ServerConfig
from covey.llm import AsyncLLM
from covey.sampling_params import SamplingParams
from covey.server import about, admin, chat, completions, dashboard, errors, openapi
from covey.server.guard import Guard
from covey.server.keys import Keys
from covey.server.origins import Origins
from covey.server.service import Service

# FastAPI would tell a collector of requests, were the environment to name one; the operator's own webhook is all that is called from here.
_SILENT: TelemetryConfig = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False, "operation_spans": False}
_DESCRIPTION = "Answers from large language models, drafted by small ones. The interface is OpenAI's."


def create_app(llm: AsyncLLM, config: ServerConfig, defaults: SamplingParams, keys: Keys, state: Path | None = None) -> FastAPI:
    """An ASGI application. Made within the event loop that serves it. `app.state.service.close()` ends it; llm stays open. state: see
    Service."""
    service = Service(llm, config, defaults, keys, state)
    # No pages of documentation: they load scripts from elsewhere.
    api = FastAPI(
        title="covey",
        version=covey.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=_SILENT,
    )
    api.state.service = service
    for part in (chat, completions, about, admin, dashboard):
        api.include_router(part.router)
    api.add_api_route("/openapi.json", _document, include_in_schema=False, response_model=None)
    errors.install(api)
    api.add_middleware(
        Guard,
        keys=keys,
        origins=Origins.of(config),
        max_header_bytes=config.max_header_bytes,
        max_body_bytes=config.max_body_bytes,
        metrics=service.metrics,
    )
    return api


async def _document(request: Request) -> Response:
    return JSONResponse(openapi.document(request.app))
