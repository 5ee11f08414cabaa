"""Ctrl-C in the middle of a training, at a step of the test's choice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps

import pytest
import torch

from covey.train.objective import Objective


@contextmanager
def interrupted_at(step: int) -> Iterator[None]:
    """What is trained inside is interrupted at this step, and must say so."""
    steps = 0
    forward = Objective.forward

    @wraps(forward)  # Trainer looks at the signature
    def interrupted(self: Objective, *arguments: torch.Tensor, **named: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal steps
        steps += self.training
        if steps == step and self.training:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Objective, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield
