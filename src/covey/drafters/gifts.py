"""The target's hidden states of one sequence, kept until a self draft has read them.

They come a few at a time, perhaps for long before anybody reads them: parts are put together when they are wanted. Knows nothing of
drafts.

    gifts = Gifts(torch.empty(0, 576)); gifts.add(0, hidden); gifts.of(0, 5); gifts.drop(5)
"""

from __future__ import annotations

import torch
from torch import Tensor


class Gifts:
    """By position, from the first that is still of use. like: [0, H], of the kind that is handed out."""

    def __init__(self, like: Tensor) -> None:
        self._none = like.new_zeros(1, like.shape[-1])  # for positions that nothing was given for
        self._start = self.stop = 0
        self._parts: list[Tensor] = []

    def add(self, start: int, hidden: Tensor) -> None:
        """What the target left at positions from `start` on; anything from there on that was held is replaced."""
        if start > self.stop:  # a gap: what was held is of no use to what follows
            self._start, self._parts = start, []
        elif start < self.stop:
            self._parts = [self.of(self._start, start)] if start > self._start else []
            self._start = min(self._start, start)
        # A copy: what is given is a part of a whole pass, which must not be kept alive by it.
        self._parts.append(hidden.to(self._none, copy=True))
        self.stop = start + len(hidden)

    def __len__(self) -> int:
        return self.stop - self._start

    def of(self, start: int, stop: int) -> Tensor:
        """Positions start .. stop - 1, zeros where nothing was given: [stop - start, H]."""
        first, last = max(start, self._start), min(stop, self.stop)
        if first >= last:
            return self._none.expand(max(0, stop - start), -1)
        held = self._held()[first - self._start : last - self._start]
        return torch.cat([self._none.expand(first - start, -1), held, self._none.expand(stop - last, -1)])

    @property
    def start(self) -> int:
        """The first position that is held."""
        return self._start

    def until(self, position: int) -> Gifts:
        """The same for what was left before a position."""
        same = Gifts(self._none[:0])
        same._start, same.stop = min(self._start, position), min(self.stop, position)
        same._parts = [self.of(same._start, same.stop)] if same.stop > same._start else []
        return same

    def drop(self, position: int) -> None:
        """Forget what was left before a position. Nothing is put together for that: for one who never reads it is done in every round."""
        while self._parts and self._start + len(self._parts[0]) <= position:
            self._start += len(self._parts.pop(0))
        if position > self._start:
            if self._parts:
                kept = self._parts[0][position - self._start :]
                self._parts[0] = kept.clone() if 2 * len(kept) < len(self._parts[0]) else kept  # a small part would keep a large one
            self._start, self.stop = position, max(self.stop, position)

    def _held(self) -> Tensor:
        if len(self._parts) != 1:
            self._parts = [torch.cat([self._none[:0], *self._parts])]
        return self._parts[0]
