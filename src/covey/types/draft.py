"""What is proposed for one sequence, by a drafter or a collective of them.

Knows nothing of what becomes of it.

    Draft(start=len(seq.tokens), prefix_id=seq.prefix_id, tokens=(5, 7), survival=(0.9, 0.7), source="suffix")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from covey.types.contribution import Contribution
from covey.types.sequence import Sequence


class Branch(NamedTuple):
    """A single token beside a draft, for one of its places: it may come there instead of the draft's own, or where the draft has ended.

    survival estimates the probability that the draft up to there and this token are right. votes: as in Draft.
    """

    place: int
    token: int
    survival: float
    votes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """Proposed tokens for the positions start, start + 1, ... of one sequence.

    survival[i] estimates the probability that tokens[: i + 1] are all accepted; it never rises along the draft. votes[i] names
    those members of a collective that were for tokens[i]; members says of each what it had to do with this draft, in their order. Both
    are empty for a drafter that is no collective. branches: what else may come at a place of it, verified in the same pass, so that a
    target that chooses one of these loses nothing behind the token that it did not accept. Draft and branches are a token tree
    (SpecInfer, arXiv 2305.09781) whose side branches are one token long: they cost no drafting, for somebody has thought of them
    already, and keys and values of a branch stand in for those of one position. Its length is that without them, `size` counts all.
    """

    start: int
    prefix_id: int
    tokens: tuple[int, ...] = ()
    survival: tuple[float, ...] = ()
    source: str = ""
    votes: tuple[tuple[str, ...], ...] = ()
    members: tuple[Contribution, ...] = ()
    branches: tuple[Branch, ...] = ()

    def __post_init__(self) -> None:
        if len(self.survival) != len(self.tokens):
            raise ValueError(f"survival has {len(self.survival)} entries for {len(self.tokens)} tokens: give one each")
        for place, token, survival, _ in self.branches:
            if not 0 <= place <= len(self.tokens):
                raise ValueError(f"a branch at place {place} of {len(self.tokens)} tokens: it must be from 0 to their number")
            if token in self.tokens[place : place + 1]:
                raise ValueError(f"a branch at place {place} is token {token}: that is the draft's own there")
            if survival > (self.survival[place - 1] if place else 1.0):
                raise ValueError(f"a branch at place {place} has survival {survival}: it cannot be higher than that of the draft before it")

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def empty(cls, sequence: Sequence, source: str = "") -> Draft:
        return cls(len(sequence.tokens), sequence.prefix_id, source=source)

    def stale(self, sequence: Sequence) -> bool:
        """Written for another text than the sequence now holds. Both halves are needed: see design, 'Types'."""
        return self.start != len(sequence.tokens) or self.prefix_id != sequence.prefix_id

    @property
    def size(self) -> int:
        """How many tokens of the target's pass it takes, branches included."""
        return len(self.tokens) + len(self.branches)

    @property
    def ranked(self) -> list[int]:
        """Its tokens by number, its branches numbered on from there: the likeliest to survive first, each behind all that it needs."""
        if not self.branches:
            return list(range(len(self.tokens)))
        survival = [*self.survival, *(branch.survival for branch in self.branches)]
        return sorted(range(len(survival)), key=lambda number: (-survival[number], number))

    def cut(self, size: int) -> Draft:
        """The `size` tokens of it that are likeliest to survive: without branches the first ones."""
        if size >= self.size:
            return self
        kept = self.ranked[: max(0, size)]
        length = sum(number < len(self.tokens) for number in kept)
        branches = tuple(self.branches[number - len(self.tokens)] for number in sorted(kept)[length:])
        return replace(self, branches=branches).shortened(length) if self.branches else self.shortened(length)

    def shortened(self, length: int) -> Draft:
        """Its first `length` tokens, and the branches that need no others."""
        if length >= len(self.tokens):
            return self
        branches = tuple(branch for branch in self.branches if branch.place <= length)
        return replace(self, tokens=self.tokens[:length], survival=self.survival[:length], votes=self.votes[:length], branches=branches)
