"""How many tokens to draft: controllers plan a length for every sequence before drafting.

Pure decisions on sequences and Rounds; knows no model and measures nothing itself.

    lengths = FixedLength(4).plan(sequences)
"""

from __future__ import annotations

from typing import Protocol

from covey.types import Round, Sequence


class Controller(Protocol):
    """Chooses draft lengths; 0 is plain decoding of that sequence."""

    def plan(self, sequences: list[Sequence]) -> list[int]:
        """A cap on each sequence's draft this round, never above sequence.max_draft_tokens."""
        ...

    def observe(self, happened: Round) -> None:
        """Learn from a round."""
        ...


class FixedLength:
    """Always the same length, where the request still has room for it."""

    def __init__(self, length: int) -> None:
        if length < 0:
            raise ValueError(f"length={length}: the draft length must be 0 or more")
        self.length = length

    def plan(self, sequences: list[Sequence]) -> list[int]:
        return [min(self.length, sequence.max_draft_tokens) for sequence in sequences]

    def observe(self, happened: Round) -> None:
        """A fixed length learns nothing."""
