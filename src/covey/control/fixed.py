"""A length that never changes.

FixedLength(4).plan(sequences, load)
"""

from __future__ import annotations

from covey.control.controller import Controller, Load
from covey.types import Sequence


class FixedLength(Controller):
    """Always the same length, where the request still has room for it. Raises ValueError for a negative one."""

    def __init__(self, length: int) -> None:
        if length < 0:
            raise ValueError(f"length={length}: the draft length must be 0 or more")
        self.length = length

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        return [min(self.length, sequence.max_draft_tokens) for sequence in sequences]
