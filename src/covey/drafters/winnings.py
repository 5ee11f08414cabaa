"""What asking a dear member of a collective wins, by how sure the others were already, and how well that is known.

Where nobody has spoken it is counted by itself. Beside others a guess can only win where they are wrong, so what it wins is taken to
fall as they are surer: all degrees of certainty are learned of together, and each goes its own way as it is tried itself, slowly, for few
trials tell little, and one that was unlucky is not soon tried again. A token that is won wins what comes true behind it, which would have
been lost with it. Knows nothing of what asking costs.

    winnings = Winnings(); winnings.learn(kind_of(0.3), won=1); winnings.follow(kind_of(0.3), tokens=2); winnings.gain(kind_of(0.2))
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from covey.state import numbers

KINDS = 11  # of how sure the others are: nothing said, then tenths
_HOPE, _HOPE_TRIALS = 0.3, 4.0  # what an untried member is taken to win by itself, and how many trials that weighs
_HOPE_BESIDE, _MISTAKES = 0.2, 16.0  # what it is taken to win of the others' mistakes, and how many mistakes that weighs
_SPREAD = 0.3  # the mean square of what a guess wins for itself: some win a token, a few lose one
_ALIKE = 32.0  # trials that what is known of all degrees of certainty weighs against those of one
_MEMORY = 256.0
_KEEP = 1 - 1 / _MEMORY


def kind_of(surest: float | None) -> int:
    """The class of the surest guess so far; None where nobody has said anything."""
    return 0 if surest is None else 1 + min(KINDS - 2, int(surest * (KINDS - 1)))


def certainty(kind: int) -> float:
    """How probable it is that the others are right, by their own word."""
    return (kind - 0.5) / (KINDS - 1) if kind else 0.0


def room(kind: int) -> float:
    """How much there is to be won beside them: their doubt, squared. Where they are sure and wrong, so are others (docs/log.md)."""
    return (1 - certainty(kind)) ** 2


class Winnings:
    """Of one member."""

    def __init__(self) -> None:
        self._won, self._asked = [0.0] * KINDS, [0.0] * KINDS
        self._won_beside = self._mistakes = self._asked_beside = 0.0
        self._squares_alone = self._squares_beside = 0.0
        self._behind, self._right = [0.0] * KINDS, [_HOPE_TRIALS] * KINDS
        self._gains: dict[tuple[int, float], float] = {}  # asked for more often than they change

    def gain(self, kind: int, deviations: float = 0.0) -> float:
        """How many tokens a guess wins where the others are as sure as this, with what follows: as expected, or if what was seen fell short
        of that by so many standard deviations."""
        if (gain := self._gains.get((kind, deviations))) is None:
            expected, weight = (_HOPE, _HOPE_TRIALS) if kind == 0 else (self._beside * room(kind), _ALIKE)
            won = (self._won[kind] + expected * weight) / (self._asked[kind] + weight) + deviations * self._deviation(kind)
            gain = self._gains[kind, deviations] = won * (1 + self._behind[kind] / self._right[kind])
        return gain

    def _deviation(self, kind: int) -> float:
        """The standard deviation of what a guess is expected to win for itself: who wins and loses tokens is known less surely than who
        never changes anything."""
        if kind == 0:
            return sqrt(self._squares_alone + _SPREAD) / (self._asked[0] + 1)
        return sqrt(self._squares_beside + _SPREAD) / (self._mistakes + 1) * room(kind)

    def trials(self, kind: int) -> float:
        """How often something was learned of this lately, or of anything alike."""
        return self._asked[kind] if kind == 0 else self._asked_beside

    def learn(self, kind: int, won: int) -> None:
        """How many tokens asking won, for itself: below 0 where a draft became wrong by it."""
        self._gains.clear()
        self._won[kind] = self._won[kind] * _KEEP + won
        self._asked[kind] = self._asked[kind] * _KEEP + 1
        if kind == 0:
            self._squares_alone = self._squares_alone * _KEEP + won * won
        else:
            self._squares_beside = self._squares_beside * _KEEP + won * won
            self._won_beside = self._won_beside * _KEEP + won
            self._mistakes = self._mistakes * _KEEP + room(kind)
            self._asked_beside = self._asked_beside * _KEEP + 1

    def follow(self, kind: int, tokens: float) -> None:
        """So many tokens came true behind a guess that was right, less what had to be paid for them."""
        self._gains.clear()
        self._behind[kind] = self._behind[kind] * _KEEP + tokens
        self._right[kind] = self._right[kind] * _KEEP + 1

    def learned(self) -> dict[str, list[float]]:
        """All that was seen, as plain lists."""
        beside = [self._won_beside, self._mistakes, self._asked_beside]
        squares = [self._squares_alone, self._squares_beside]
        return {"won": self._won, "asked": self._asked, "beside": beside, "squares": squares, "behind": self._behind, "right": self._right}

    def take_up(self, held: dict[str, Any]) -> None:
        """What another process has seen. Raises ValueError, TypeError or KeyError where it is not that."""
        self._gains.clear()
        self._won, self._behind = numbers(held["won"], KINDS), numbers(held["behind"], KINDS)
        self._asked, self._right = numbers(held["asked"], KINDS, low=0.0), numbers(held["right"], KINDS, low=1.0)
        (self._won_beside,) = numbers(held["beside"][:1], 1)
        self._mistakes, self._asked_beside = numbers(held["beside"][1:], 2, low=0.0)
        self._squares_alone, self._squares_beside = numbers(held["squares"], 2, low=0.0)

    @property
    def _beside(self) -> float:
        """What is won of the others' mistakes, whatever they had said."""
        return (self._won_beside + _HOPE_BESIDE * _MISTAKES) / (self._mistakes + _MISTAKES)
