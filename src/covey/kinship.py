"""How much members of a collective err together: two that make the same mistakes are hardly two opinions.

Pure. Counted over all sequences of a target, at every position where the target's own token is known. A member's vote is shared with
those who are for the same token, as far as they are its kin, so that a draft and three drafts made from it do not outvote a stranger
who is right more often than any of them. Knows nothing of drafters, or of how a vote is held.

    kinship = Kinship(2); kinship.record([(0, 7), (1, 7)], known=9); kinship.of(0, 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from covey.state import numbers

_MEMORY = 512.0
_STRANGE = 4.0  # mistakes of a member that are taken to have been its own before any was seen


class Kinship:
    """The co-errors of some members, told apart by number."""

    def __init__(self, members: int) -> None:
        self._shared = [[0.0] * members for _ in range(members)]
        self._wrong = [[_STRANGE] * members for _ in range(members)]

    def of(self, member: int, other: int) -> float:
        """From 0, strangers, to 1: the square root of how often `other` makes the same mistake when `member` makes one.

        The root, because guesses are scored to the first mistake of the vote only, and because it did best on recorded votes.
        """
        return sqrt(self._shared[member][other] / self._wrong[member][other])

    def share(self, member: int, company: Sequence[int]) -> float:
        """What is left of a member's weight beside all others of a company, which may name it too: 1 among strangers."""
        return 1 / (1 + sum(self.of(member, other) for other in company if other != member))

    def record(self, guesses: Sequence[tuple[int, int]], known: int) -> None:
        """Members guessed (member, token) where the target's own token is known."""
        keep = 1 - 1 / _MEMORY
        for member, token in guesses:
            if token == known:
                continue
            for other, theirs in guesses:
                if other != member:
                    self._wrong[member][other] = self._wrong[member][other] * keep + 1
                    self._shared[member][other] = self._shared[member][other] * keep + (theirs == token)

    def learned(self) -> list[Any]:
        """All that was seen, as plain lists: mistakes that were shared, and mistakes beside another."""
        return [self._shared, self._wrong]

    def take_up(self, held: list[Any]) -> None:
        """What another process has seen. Raises ValueError or TypeError where it is not of so many members."""
        shared, wrong = held
        members = len(self._wrong)
        if len(shared) != members or len(wrong) != members:
            raise ValueError(f"the mistakes of {members} members are expected")
        self._shared = [numbers(row, members, low=0.0) for row in shared]
        self._wrong = [numbers(row, members, low=1e-3) for row in wrong]
