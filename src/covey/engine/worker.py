"""A thread that owns engines, for callers in other threads.

Requests and aborts travel to it by a queue; it sleeps when there is nothing to do. Engines that have work take turns. Knows
nothing of text or asyncio.

    worker = Worker([engine]); worker.add(engine, generations); worker.abort("r1"); worker.close()
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from covey.engine.engine import Engine
from covey.engine.generation import Generation

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Worker:
    """Steps the engines while they are busy. Listeners are called in this thread."""

    def __init__(self, engines: list[Engine]) -> None:
        self._engines = engines
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="covey-engine", daemon=True)
        self._thread.start()

    def add(self, engine: Engine, generations: list[Generation]) -> None:
        for generation in generations:
            self._commands.put(lambda g=generation: engine.add(g))  # type: ignore[misc]

    def abort(self, request_id: str) -> None:
        """An id that no engine knows is ignored."""
        for engine in self._engines:
            self._commands.put(lambda e=engine: e.abort(request_id))  # type: ignore[misc]

    def do(self, action: Callable[[], Result]) -> Future[Result]:
        """Call it between two steps, in this thread. A future that is cancelled before is not called."""
        future: Future[Result] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(action())
                except Exception as error:
                    future.set_exception(error)

        self._commands.put(run)
        return future

    def close(self) -> None:
        """Stop after the step that is running; requests in flight end as aborted."""
        self._commands.put(self._stop)
        self._thread.join()

    def _stop(self) -> None:
        self._open = False
        for engine in self._engines:
            engine.end_all("abort")

    def _run(self) -> None:
        while self._open:
            if not any(engine.busy for engine in self._engines):
                self._commands.get()()
            for engine in self._engines:
                while not self._commands.empty():
                    self._commands.get()()
                if engine.busy:
                    self._step(engine)

    @staticmethod
    def _step(engine: Engine) -> None:
        """A step that fails outside of the target's pass must not end the thread: everything in flight ends with the error."""
        try:
            engine.step()
        except Exception as error:
            log.exception("a step failed; the requests in flight end with an error")
            engine.end_all("error", f"{type(error).__name__}: {error}")
