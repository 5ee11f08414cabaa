"""Runs the server until it is told to stop: listens, warns, drains.

Knows sockets and signals; knows nothing of endpoints.

    server = Server(llm, ServerConfig(), SamplingParams(), Keys({})); asyncio.run(server.run())
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from pathlib import Path
from types import FrameType

import uvicorn

from covey.config import ConfigError, ServerConfig
from covey.llm import AsyncLLM
from covey.sampling_params import SamplingParams
from covey.server.app import create_app
from covey.server.connections import connections
from covey.server.keys import Keys
from covey.server.lifecycle import Lifecycle
from covey.server.origins import is_loopback
from covey.server.service import Service

log = logging.getLogger("covey.server")
_KEEP_ALIVE_SECONDS = 30
_LAST_ANSWERS_SECONDS = 5
_OPEN = (
    "ANYBODY WHO CAN REACH {place} MAY USE THIS SERVER: it listens beyond this machine\n"
    "and has no API key. Give it keys (keys_file, or COVEY_API_KEYS), or listen on 127.0.0.1."
)


class Server:
    """One server, listening from the beginning. llm is closed when it ends. state: see Service. Raises ConfigError for an address that
    cannot be had."""

    def __init__(self, llm: AsyncLLM, config: ServerConfig, defaults: SamplingParams, keys: Keys, state: Path | None = None) -> None:
        self.llm, self.config, self.keys = llm, config, keys
        self._socket = _listen(config)
        self.app = create_app(llm, config, defaults, keys, state)
        self.service: Service = self.app.state.service
        self._uvicorn = _Draining(self._settings(), self.service.lifecycle, config.drain_seconds)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as they came to be."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def run(self) -> None:
        """Returns after SIGTERM, SIGINT or `drain`, when running requests have ended or their time is up."""
        self._tell()
        gc.collect()
        gc.freeze()  # what lives as long as the server: looking through it now and then would stop everything for a tenth of a second
        working = [asyncio.create_task(self.service.live.run()), asyncio.create_task(self.service.keep())]
        try:
            await self._uvicorn.serve(sockets=[self._socket])
        finally:
            for each in working:
                each.cancel()
            self._socket.close()
            self.service.close()
            self.llm.close()

    def drain(self) -> None:
        """What SIGTERM does; a second time, running requests are cut off."""
        self._uvicorn.handle_exit(signal.SIGTERM, None)

    def _settings(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.app,
            http=connections(self.config, self.service.metrics.answered),  # on h11, whose limit of header bytes can be set
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=self.config.max_header_bytes,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        )

    def _tell(self) -> None:
        host, port = self.address
        shown = f"[{host}]" if ":" in host else host
        log.info("serving %s at http://%s:%d/v1", ", ".join(self.llm.targets), shown, port)
        if not is_loopback(host) and not self.keys.required:
            line = "!" * 78
            log.warning("\n%s\n%s\n%s", line, _OPEN.format(place=f"{shown}:{port}"), line)


class _Draining(uvicorn.Server):
    """uvicorn, that goes on serving what it has taken before it stops; a second signal ends that, too."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, seconds: float) -> None:
        super().__init__(config)
        self._lifecycle, self._seconds = lifecycle, seconds
        self._drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal. It is not raised again afterwards, as uvicorn does: having drained is a success."""
        if self._lifecycle.draining:
            self.should_exit = self.force_exit = True
        self._lifecycle.drain()

    async def on_tick(self, counter: int) -> bool:
        if self._lifecycle.draining and self._drain is None:
            log.info("draining: no further requests are taken; running ones have %g s to end", self._seconds)
            self._drain = asyncio.create_task(self._finish())
        return await super().on_tick(counter)

    async def _finish(self) -> None:
        if not await self._lifecycle.drained(self._seconds):
            log.warning("some requests had not ended after %g s: they are cut off", self._seconds)
            self.force_exit = True
        self.should_exit = True


def _listen(config: ServerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"host={config.host!r}, port={config.port}: {why}; choose others") from None
    return listening
