"""A draft while a model writes it, token by token: what drafters with a cache of their own share.

drafting = Growing(sequence, length=4); drafting.tokens.append(7); drafting.done
"""

from __future__ import annotations

from dataclasses import dataclass, field

from covey.rows import RowPool
from covey.types import Draft, Sequence


@dataclass
class Growing:
    """One sequence's draft while it grows."""

    sequence: Sequence
    length: int
    tokens: list[int] = field(default_factory=list)
    survival: list[float] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Long enough, or ended by an end token: nothing after that could be accepted."""
        return len(self.tokens) >= self.length or bool(self.tokens and self.tokens[-1] in self.sequence.end_ids)

    def add(self, token: int, probability: float) -> None:
        """Append a token that is right with this probability if all before it are."""
        self.survival.append((self.survival[-1] if self.survival else 1.0) * probability)
        self.tokens.append(token)

    def draft(self, source: str) -> Draft:
        return Draft(len(self.sequence.tokens), self.sequence.prefix_id, tuple(self.tokens), tuple(self.survival), source)

    def unseen(self, cached: int) -> list[int]:
        """Committed and drafted tokens from position `cached` on."""
        known = len(self.sequence.tokens)
        return self.sequence.tokens[cached:] + self.tokens[max(0, cached - known) :]


def agreed(sequence: Sequence, start: int, drafted: list[int]) -> int:
    """How many tokens of a draft that began at `start` the sequence has committed since."""
    count = 0
    for mine, committed in zip(drafted, sequence.tokens[start:], strict=False):
        if mine != committed:
            break
        count += 1
    return count


def room_for(rows: RowPool, sequence: Sequence, length: int, max_position: int) -> int:
    """The draft length, at most `length`, that the model's context and its cache have room for; the last token is never fed."""
    length = min(length, max_position - len(sequence.tokens) + 1)
    return length if length > 0 and rows.reserve(rows[sequence.id], len(sequence.tokens) + length - 1) else 0
