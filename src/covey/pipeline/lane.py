"""Runs jobs one after another, in order, elsewhere: a thread with a queue, and blocking waits for what comes of it.

Knows nothing of what the jobs are. Tests put another `Lane` in its place, which runs jobs at moments of its own choice.

    lane = ThreadLane("covey-drafter", Placement("cpu")); lane.submit(job); lane.wait(lambda: done, patience=30)
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch

from covey.pipeline.placement import Placement

log = logging.getLogger(__name__)

Job = Callable[[], None]


class Lane(Protocol):
    """Used by one thread, which alone submits and waits."""

    name: str

    def submit(self, job: Job) -> None:
        """Run it after all that were submitted before."""
        ...

    def wait(self, done: Callable[[], bool], patience: float) -> bool:
        """Block until done() is true, which a job makes it; False when a job has been under way for longer than patience seconds."""
        ...

    def run_here(self, job: Job, patience: float) -> bool:
        """Run it in the calling thread when all that were submitted before are done; False, and not run, as with wait."""
        ...

    def overdue(self, patience: float) -> bool:
        """Whether the job under way has been so for longer than patience seconds."""
        ...

    @property
    def idle(self) -> bool: ...

    def abandon(self, late: Callable[[], None]) -> None:
        """Run nothing any more. late is called when the job under way returns after all."""
        ...

    def close(self) -> None:
        """End when all that was submitted is done; at once where it was abandoned."""
        ...


class ThreadLane:
    """A daemon thread, begun by the first job."""

    def __init__(self, name: str, placement: Placement) -> None:
        self.name, self.placement = name, placement
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._since: float | None = None  # when the job under way began
        self._late: Callable[[], None] | None = None
        self._open = True
        self._thread: threading.Thread | None = None

    @property
    def idle(self) -> bool:
        with self._changed:
            return self._is_idle()

    def submit(self, job: Job) -> None:
        if self._thread is None:
            self._begin()
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    def wait(self, done: Callable[[], bool], patience: float) -> bool:
        with self._changed:
            while not done():
                left = patience if self._since is None else self._since + patience - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def run_here(self, job: Job, patience: float) -> bool:
        if not self.wait(self._is_idle, patience):
            return False
        self._try(job)
        return True

    def overdue(self, patience: float) -> bool:
        with self._changed:
            return self._since is not None and time.monotonic() - self._since > patience

    def abandon(self, late: Callable[[], None]) -> None:
        with self._changed:
            self._jobs.clear()
            self._open, self._late = False, late
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        if self._thread is not None and self._late is None:
            self._thread.join()

    def _is_idle(self) -> bool:
        return not self._jobs and self._since is None

    def _begin(self) -> None:
        threads, placed = torch.get_num_threads(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(placed,), name=self.name, daemon=True)
        self._thread.start()
        placed.wait()
        self.placement.leave_to(threads)

    def _run(self, placed: threading.Event) -> None:
        self.placement.enter()
        placed.set()
        while (job := self._next()) is not None:
            self._try(job)
            with self._changed:
                self._since = None
                self._changed.notify_all()
        if self._late is not None:
            self._late()

    def _try(self, job: Job) -> None:
        """What goes wrong in a job is not the lane's end."""
        try:
            self.placement.run(job)
        except Exception:
            log.exception("a job of %s failed", self.name)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._jobs and self._open:
                self._changed.wait()
            if not self._jobs or self._late is not None:
                return None
            self._since = time.monotonic()
            return self._jobs.popleft()
