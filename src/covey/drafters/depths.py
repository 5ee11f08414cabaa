"""How far a nested draft has read one sequence, stage by stage, and what is kept for a stage that has not come as far as the one before.

Pure bookkeeping; it knows nothing of what hidden states mean.

    depths = Depths(stages=3); depths.left(0, 5, hidden); depths.held(1); depths.shorten(90)
"""

from __future__ import annotations

import torch
from torch import Tensor


class Depths:
    """Of one sequence: how far it is cached at each stage, and what the stages left where the next one has not been yet.

    origin: where its reading begins; what is before is not looked at. firm: positions that the first stage read in the company of the
    target's own hidden states. guess: what it takes for the target's at the last position drafted.
    """

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.begin(0)

    def begin(self, origin: int) -> None:
        """Anew, with nothing read, from a position on."""
        self.origin = self.firm = origin
        self.cached = [origin] * self.stages
        self.guess: Tensor | None = None
        self.kept: list[list[Tensor]] = [[] for _ in range(self.stages)]  # for each stage, what the one before left: [n, H] each

    def until(self, length: int) -> Depths:
        """The same of the first `length` positions."""
        same = Depths(self.stages)
        same.origin, same.firm = self.origin, min(self.firm, length)
        same.cached, same.kept = list(self.cached), [list(parts) for parts in self.kept]
        same.shorten(length)
        return same

    def shorten(self, length: int) -> None:
        """Forget positions from `length` on."""
        if length < self.origin:
            self.begin(length)
        for stage, cached in enumerate(self.cached):
            self.cached[stage] = min(cached, length)
        for stage in range(1, self.stages):
            held = self.held(stage)[: max(0, self.cached[stage - 1] - self.cached[stage])]
            self.kept[stage] = [held] if len(held) else []

    def held(self, stage: int) -> Tensor:
        """What the stage before left at positions that this one has not seen: [cached before - cached here, H]."""
        if len(self.kept[stage]) > 1:
            self.kept[stage] = [torch.cat(self.kept[stage])]
        return self.kept[stage][0] if self.kept[stage] else torch.empty(0, 0)

    def left(self, stage: int, count: int, hidden: Tensor | None) -> None:
        """A stage has run over so many more positions. hidden: what it left there, [count, H]; nobody asks for that of the last stage."""
        self.cached[stage] += count
        if stage + 1 < self.stages:
            assert hidden is not None
            self.kept[stage + 1].append(hidden)
        if stage:
            self.kept[stage] = []
