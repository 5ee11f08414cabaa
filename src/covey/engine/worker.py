"""A thread that owns an engine, for callers in other threads.

Requests and aborts travel to it by a queue; it sleeps when there is nothing to do. Knows nothing of text or asyncio.

    worker = Worker(engine); worker.add(generations); worker.abort("r1"); worker.close()
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from covey.engine.engine import Engine
from covey.engine.generation import Generation

log = logging.getLogger(__name__)


class Worker:
    """Steps the engine while it is busy. Listeners are called in this thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="covey-engine", daemon=True)
        self._thread.start()

    def add(self, generations: list[Generation]) -> None:
        for generation in generations:
            self._commands.put(lambda g=generation: self._engine.add(g))  # type: ignore[misc]

    def abort(self, request_id: str) -> None:
        self._commands.put(lambda: self._engine.abort(request_id))

    def close(self) -> None:
        """Stop after the step that is running; requests in flight end as aborted."""
        self._commands.put(self._stop)
        self._thread.join()

    def _stop(self) -> None:
        self._open = False
        self._engine.end_all("abort")

    def _run(self) -> None:
        while self._open:
            if not self._engine.busy:
                self._commands.get()()
            while not self._commands.empty():
                self._commands.get()()
            if self._engine.busy:
                self._step()

    def _step(self) -> None:
        """A step that fails outside of the target's pass must not end the thread: everything in flight ends with the error."""
        try:
            self._engine.step()
        except Exception as error:
            log.exception("a step failed; the requests in flight end with an error")
            self._engine.end_all("error", f"{type(error).__name__}: {error}")
