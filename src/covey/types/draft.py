"""What is proposed for one sequence, by a drafter or a collective of them.

Knows nothing of what becomes of it.

    Draft(start=len(seq.tokens), prefix_id=seq.prefix_id, tokens=(5, 7), survival=(0.9, 0.7), source="suffix")
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from covey.types.contribution import Contribution
from covey.types.sequence import Sequence


@dataclass(frozen=True)
class Draft:
    """Proposed tokens for the positions start, start + 1, ... of one sequence.

    survival[i] estimates the probability that tokens[: i + 1] are all accepted; it never rises along the draft. votes[i] names
    those members of a collective that were for tokens[i]; members says of each what it had to do with this draft, in their order. Both
    are empty for a drafter that is no collective.
    """

    start: int
    prefix_id: int
    tokens: tuple[int, ...] = ()
    survival: tuple[float, ...] = ()
    source: str = ""
    votes: tuple[tuple[str, ...], ...] = ()
    members: tuple[Contribution, ...] = ()

    def __post_init__(self) -> None:
        if len(self.survival) != len(self.tokens):
            raise ValueError(f"survival has {len(self.survival)} entries for {len(self.tokens)} tokens: give one each")

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def empty(cls, sequence: Sequence, source: str = "") -> Draft:
        return cls(len(sequence.tokens), sequence.prefix_id, source=source)

    def stale(self, sequence: Sequence) -> bool:
        """Written for another text than the sequence now holds. Both halves are needed: see design, 'Types'."""
        return self.start != len(sequence.tokens) or self.prefix_id != sequence.prefix_id

    def cut(self, length: int) -> Draft:
        """The first `length` tokens of this draft."""
        if length >= len(self.tokens):
            return self
        return replace(self, tokens=self.tokens[:length], survival=self.survival[:length], votes=self.votes[:length])
