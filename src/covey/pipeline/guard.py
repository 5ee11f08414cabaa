"""Keeps a drafter from doing harm: a failure costs its draft and a line in the log, a third one in a row its place.

A draft that is stale, too long, not made of token ids or against its request's grammar is cut, or dropped. Knows nothing of threads,
or of what the target makes of drafts.

    guard = Guard(drafter); drafts = guard.propose(sequences, lengths, vocab_size); guard.tell("commit", sequence, draft, 2)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

from covey.types import Draft, Drafter, Sequence, Target

log = logging.getLogger(__name__)

FAILURES_BEFORE_REST = 3


@dataclass
class Faults:
    """Counters, for metrics. failures: calls of a drafter that raised. dropped: drafters that are not asked any more for it.
    quarantined: drafters that hung. late: results that came after that, and were thrown away."""

    failures: int = 0
    dropped: int = 0
    quarantined: int = 0
    late: int = 0


class Guard:
    """A drafter that can be called without harm, by one thread at a time. branches: False leaves out those of its drafts."""

    def __init__(self, drafter: Drafter, branches: bool = True) -> None:
        self.drafter, self.branches = drafter, branches
        self.faults = Faults()
        self._in_a_row = 0

    @property
    def rests(self) -> bool:
        """Whether it is not asked for drafts any more."""
        return self._in_a_row >= FAILURES_BEFORE_REST or self.faults.quarantined > 0

    def quarantine(self) -> None:
        """Never call it again, not even to tell it something: another thread may still be in it."""
        self.faults.quarantined += 1

    def propose(self, sequences: list[Sequence], lengths: list[int], vocab_size: int) -> list[Draft]:
        """What may be verified of its drafts; empty ones where it fails."""
        return self._asked("propose", sequences, lengths, vocab_size, sequences, lengths)

    def propose_ahead(self, sequences: list[Sequence], sent: list[int], lengths: list[int], vocab_size: int) -> list[Draft]:
        """The same of drafts for texts that are only supposed; whether they came true is not known here."""
        return self._asked("propose_ahead", sequences, lengths, vocab_size, sequences, sent, lengths)

    def tell(self, what: str, *arguments: Any) -> None:
        """Call one of its methods that return nothing."""
        if self.faults.quarantined:
            return
        try:
            getattr(self.drafter, what)(*arguments)
        except Exception:
            self._failed(what)

    def _asked(self, what: str, sequences: list[Sequence], lengths: list[int], vocab_size: int, *arguments: Any) -> list[Draft]:
        if not self.rests:
            try:
                drafts = getattr(self.drafter, what)(*arguments)
                if len(drafts) != len(sequences):
                    raise ValueError(f"{what} returned {len(drafts)} drafts for {len(sequences)} sequences: it must return one each")
                cut = [usable(draft, s, n, vocab_size) for draft, s, n in zip(drafts, sequences, lengths, strict=True)]
                cut = cut if self.branches else [replace(draft, branches=()) for draft in cut]
                self._in_a_row = 0
                if what == "propose":
                    return [Draft.empty(s, d.source) if d.stale(s) else permitted(d, s) for d, s in zip(cut, sequences, strict=True)]
                return cut
            except Exception:
                self._failed(what)
        return [Draft.empty(sequence) for sequence in sequences]

    def _failed(self, what: str) -> None:
        self._in_a_row += 1
        self.faults.failures += 1
        rest = ""
        if self._in_a_row == FAILURES_BEFORE_REST:
            self.faults.dropped += 1
            rest = "; it is not asked any more"
        log.warning("drafter %r failed in %s; requests go on without its draft%s", self.drafter.name, what, rest, exc_info=True)


def usable(draft: Draft, sequence: Sequence, length: int, vocab_size: int) -> Draft:
    """The part of a draft that may be verified: up to the length, the first invalid id, or the first end token."""
    count = 0
    for token in draft.tokens[:length]:
        if not 0 <= token < vocab_size:
            break
        count += 1
        if token in sequence.end_ids:
            break
    draft = draft.shortened(count)
    return _with_branches(draft, [0 <= branch.token < vocab_size for branch in draft.branches])


def permitted(draft: Draft, sequence: Sequence) -> Draft:
    """What of a draft the sequence's grammar can accept: the rest would only cost a place in the target's pass."""
    constraint = sequence.constraint
    if constraint is None:
        return draft
    draft = draft.shortened(constraint.permitted(sequence.output, draft.tokens))
    before = [[*sequence.output, *draft.tokens[: branch.place]] for branch in draft.branches]
    return _with_branches(draft, [constraint.permitted(o, [b.token]) > 0 for o, b in zip(before, draft.branches, strict=True)])


def _with_branches(draft: Draft, kept: list[bool]) -> Draft:
    """The same with some of its branches."""
    return draft if all(kept) else replace(draft, branches=tuple(compress(draft.branches, kept)))


def take_over(target: Target, sequence: Sequence, of: Sequence, length: int) -> bool:
    """Have a target give a sequence what it has read of another one; False where it cannot, for a prompt can always be read."""
    try:
        inherited: bool = target.inherit(sequence, of, length)  # type: ignore[attr-defined]
    except Exception:  # such as memory for the copy
        log.warning("what was read before could not be taken over; the prompt is read again", exc_info=True)
        return False
    return inherited
