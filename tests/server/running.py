"""A real server in a thread, on a free port of this machine, and clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai

from covey import AsyncLLM, SamplingParams
from covey.config import ServerConfig
from covey.server.keys import Keys
from covey.server.serve import Server
from covey.toy import ToyTarget

KEY = "key-of-the-first-caller"
OTHER = "key-of-the-second-caller"


class Running:
    """One server, and what tests look at in it."""

    def __init__(self, server: Server, thread: threading.Thread) -> None:
        self.server, self.thread = server, thread
        self.url = "http://{}:{}".format(*server.address)

    @property
    def llm(self) -> AsyncLLM:
        return self.server.llm

    @property
    def service(self) -> Any:
        return self.server.service

    def http(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **more)

    def openai(self, key: str = "not-needed", **more: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60, **more)

    def async_openai(self, key: str = "not-needed") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    def at_rest(self) -> bool:
        """No row, no sequence, no place is held."""
        for name in self.llm.targets:
            served, gate = self.llm.served(name), self.service.gates[name]
            scheduler, rows = served.engine.scheduler, served.target.rows
            if scheduler.running or scheduler.waiting or rows.num_available != rows.num_blocks or not gate.idle or gate.running:
                return False
        return True


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to hold; as long as it takes on a busy machine, and no longer."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class PacedTarget(ToyTarget):
    """A toy that makes a pass only when it is let: `allowed` passes, or any number when `free` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.allowed = threading.Semaphore(0)
        self.passes = 0

    def verify(self, works: Any, give: Any = None) -> Any:
        while not self.free.is_set() and not self.allowed.acquire(timeout=0.01):
            pass
        self.passes += 1
        return super().verify(works, give)


@contextlib.contextmanager
def running(
    target: Any = "toy",
    config: ServerConfig | None = None,
    keys: Keys | None = None,
    defaults: SamplingParams | None = None,
    **options: Any,
) -> Iterator[Running]:
    """The server of one target, or of several as a dict."""
    options = {"controller": "fixed", "num_speculative_tokens": 4, "drafters": ["suffix"], **options}
    targets = target if isinstance(target, dict) else {"toy": target}
    llm = AsyncLLM(targets=targets, **options)
    config = config or ServerConfig(port=0)
    server = Server(llm, config, defaults or SamplingParams(), keys or Keys({}))
    thread = threading.Thread(target=lambda: asyncio.run(server.run()), name="server")
    thread.start()
    found = Running(server, thread)
    try:
        with found.http() as http:
            assert eventually(lambda: _answers(http))
        yield found
    finally:
        if thread.is_alive():
            server.drain()
            if not found.at_rest():
                server.drain()  # whatever a failed test left running is cut off
        thread.join(30)
        assert not thread.is_alive()


def _answers(http: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return http.get("/health/live").status_code == 200
    return False
