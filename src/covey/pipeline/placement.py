"""Where a drafter's thread computes: how many CPU threads it may use, and on a GPU a stream of its own.

torch counts threads for each calling thread, and a thread that is new takes what was set last, by whichever thread. So the count is
set in the drafter's thread, and set back in the thread that began it. Knows nothing of drafters.

    placement = Placement("cpu", threads=1); placement.enter(); placement.run(job); placement.leave_to(2)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch


class Placement:
    """device: where the drafter runs. threads: CPU threads of its thread; None is one on a CPU, where the target computes at the
    same time, and torch's own choice elsewhere."""

    def __init__(self, device: str, threads: int | None = None) -> None:
        self.device = torch.device(device)
        self.threads = 1 if threads is None and self.device.type == "cpu" else threads
        self._stream: torch.cuda.Stream | None = None

    def enter(self) -> None:
        """Called once, in the drafter's thread."""
        if self.threads is not None:
            torch.get_num_threads()  # the first question a thread asks sets its count to the common one: it must not come after
            torch.set_num_threads(self.threads)

    @staticmethod
    def leave_to(threads: int) -> None:
        """Called in the thread that began the drafter's: threads that are yet to come take as many as that one has."""
        torch.set_num_threads(threads)

    def run(self, job: Callable[[], None]) -> None:
        """Run a job on the drafter's stream, in whichever thread. It has ended on the device, too, when this returns."""
        with contextlib.ExitStack() as stack:
            if self.device.type == "cuda":
                if self._stream is None:
                    torch.cuda.synchronize(self.device)  # weights were copied there on another stream
                    self._stream = torch.cuda.Stream(self.device)
                stack.enter_context(torch.cuda.stream(self._stream))
                stack.callback(self._stream.synchronize)
            job()
