"""A member of a collective: a drafter that is kept from doing harm, whether it can be led or drafts whole sequences only.

Knows nothing of votes or of what members are worth.

    member = Member(SuffixDrafter()); member.call("start", None, sequence)
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from covey.drafters.guesser import Growing, Guess, Guesser
from covey.types import Draft, Drafter, Sequence

log = logging.getLogger(__name__)

_FAILURES_BEFORE_REST = 3
_LITTLE = 8  # tokens that are read along with a guess at no cost to speak of


class Member:
    """A drafter in a collective: one whose method fails three times in a row is not asked any more.

    takes_part: False leaves it out of votes for now; it goes on being told what happens, so that it can return.
    """

    def __init__(self, drafter: Drafter) -> None:
        self.drafter, self.rests, self.takes_part = drafter, False, True
        self.name = drafter.name
        self.guesser = drafter if isinstance(drafter, Guesser) else None
        if self.guesser is not None:
            self.guesser.min_survival = 0.0  # the vote ends a draft, not one member's own limit
        self._failures: Counter[str] = Counter()  # by method, in a row

    @property
    def reads(self) -> bool:
        """Whether reading a text costs it anything to speak of, that is no part of what a draft of its own costs."""
        return self.guesser is not None and self.drafter.looks_back != 0

    def drafts_for(self, sequence: Sequence) -> bool:
        """Whether it has a vote on this sequence's drafts: the operator and the request may leave it out."""
        return self.takes_part and sequence.takes_from(self.name)

    def call(self, what: str, otherwise: Any, *arguments: Any) -> Any:
        """One of the drafter's methods; `otherwise` where it fails or rests. What it began it is still told to stop."""
        if self.rests and what != "stop":
            return otherwise
        try:
            done = getattr(self.drafter, what)(*arguments)
        except Exception:
            if self.rests:
                return otherwise
            self._failures[what] += 1
            self.rests = self._failures[what] >= _FAILURES_BEFORE_REST
            rest = "; it is not asked any more" if self.rests else ""
            log.warning("member %r failed in %s; the others go on without it%s", self.name, what, rest, exc_info=True)
            return otherwise
        if self._failures:
            del self._failures[what]
        return done

    def succeeded(self, what: str) -> None:
        """It was asked in another way than by `call`, and did not fail."""
        del self._failures[what]

    def tell_likely(self, wanted: bool) -> None:
        """Whether its guesses are to say which tokens are how likely."""
        if self.guesser is not None:
            self.guesser.tells_likely = wanted

    def guesses(self, drafts: list[Growing]) -> list[Guess | None]:
        """What it expects next in each of its drafts."""
        if self.guesser is None:
            return [own.next() for own in drafts if isinstance(own, Whole)]
        guesses: list[Guess | None] = self.call("ask", [None] * len(drafts), drafts)
        return guesses

    def passes(self, own: Growing) -> int:
        """How often its model runs for a guess: a self draft that was not asked along a draft follows it token by token."""
        return 1 + (len(own.tokens) - len(own.evidence) if self.drafter.wants_hidden else 0)

    def unread(self, sequence: Sequence, written: int = 0) -> int:
        """How much it has to read before a guess, where that is more than a little: then the time that this one takes says nothing of the
        next."""
        if not self.reads:
            return 0
        unread = int(self.call("unread", 0, sequence, written))
        return unread if unread > _LITTLE else 0


@dataclass
class Whole(Growing):
    """A whole draft of a member that cannot be led: heard while what was voted is its own."""

    own: Draft | None = None

    def next(self) -> Guess | None:
        assert self.own is not None
        at = len(self.tokens)
        if at >= len(self.own) or tuple(self.tokens) != self.own.tokens[:at]:
            return None
        return Guess(self.own.tokens[at], conditional(self.own, at))


def conditional(draft: Draft, index: int) -> float:
    """The estimate that one token of a draft is right if all before it are."""
    before = draft.survival[index - 1] if index else 1.0
    return min(1.0, draft.survival[index] / before) if before > 0 else 0.0
