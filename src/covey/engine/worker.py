"""A thread that owns an engine, for callers in other threads.

Requests and aborts travel to it by a queue; it sleeps when there is nothing to do. Knows nothing of text or asyncio.

    worker = Worker(engine); worker.add(generations); worker.abort("r1"); worker.close()
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from covey.engine.engine import Engine
from covey.engine.generation import Generation


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
        self._engine.abort_all()

    def _run(self) -> None:
        while self._open:
            if not self._engine.busy:
                self._commands.get()()
            while not self._commands.empty():
                self._commands.get()()
            if self._engine.busy:
                self._engine.step()
