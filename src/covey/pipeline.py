"""One round: drafters propose, the target verifies. `Serial` does one after the other, and is the reference.

A pipeline knows the order of the two, and that a drafter must not be able to do harm: a draft that is stale, too
long or not made of token ids is not sent to the target, and a drafter that fails is left out. It knows nothing of
scheduling, text or statistics.

    outcome = Serial(target, drafter).run(works, lengths, trim)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from covey.control import Cut
from covey.types import Draft, Drafter, Sequence, Target, Verdict, Work

log = logging.getLogger(__name__)

Trim = Callable[[list[Work]], list[Cut]]
_FAILURES_BEFORE_REST = 3


@dataclass(frozen=True)
class Outcome:
    """What one round gave: the works as verified, the whole drafts, how these were cut, a verdict for each work that was complete,
    and the seconds it took."""

    works: list[Work]
    proposed: list[Draft]
    cuts: list[Cut]
    verdicts: list[Verdict | None]
    draft_seconds: float
    verify_seconds: float


class Serial:
    """Draft, then verify."""

    def __init__(self, target: Target, drafter: Drafter | None) -> None:
        self.target = target
        self.drafter = drafter
        self._failures = 0

    def start(self, sequence: Sequence) -> None:
        self.target.start(sequence)
        self._tell("start", sequence)

    def heed(self, floor: float | None) -> None:
        """Tell the drafter where a draft need not go on."""
        self._tell("heed", floor)

    def run(self, works: list[Work], lengths: list[int], trim: Trim) -> Outcome:
        """lengths[i] caps the draft of works[i]; 0 where it is not complete or decodes plainly. trim is given the works with
        their whole drafts, and says how much of each is verified."""
        began = time.perf_counter()
        works = self._draft(works, lengths)
        drafted = time.perf_counter()
        proposed = [work.draft for work in works]
        cuts = trim(works)
        works = [replace(work, draft=work.draft.cut(cut.length)) for work, cut in zip(works, cuts, strict=True)]
        decided = time.perf_counter()
        verdicts = self.target.verify(works, self._give if self._drafter_wants_hidden else None)
        return Outcome(works, proposed, cuts, verdicts, drafted - began, time.perf_counter() - decided)

    def commit(self, sequence: Sequence, proposed: Draft, draft: Draft, accepted: int) -> None:
        """Tell the drafter what became of what it proposed, after the sequence has committed: `draft` is what was verified of it."""
        if len(proposed):
            self._tell("commit", sequence, draft, accepted)

    def rest(self, sequence: Sequence, length: int) -> None:
        """The sequence takes no part for now; the first `length` positions of its row are kept while nobody wants their place."""
        self.target.rows.rest(self.target.rows[sequence.id], length)
        self._tell("rest", sequence)

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> bool:
        """Give a sequence that was just started what was read of another one that begins alike; False when the target cannot."""
        try:
            inherited: bool = self.target.inherit(sequence, of, length)  # type: ignore[attr-defined]
        except Exception:  # such as memory for the copy: a prompt can always be read
            log.warning("what was read before could not be taken over; the prompt is read again", exc_info=True)
            return False
        if inherited:
            self._tell("inherit", sequence, of, length)
        return inherited

    def stop(self, sequence: Sequence) -> None:
        self.target.stop(sequence)
        self._tell("stop", sequence)

    def _draft(self, works: list[Work], lengths: list[int]) -> list[Work]:
        asked = [i for i, length in enumerate(lengths) if length > 0]
        if not asked or self.drafter is None or self._failures >= _FAILURES_BEFORE_REST:
            return works
        sequences = [works[i].sequence for i in asked]
        try:
            drafts = self.drafter.propose(sequences, [lengths[i] for i in asked])
            if len(drafts) != len(asked):
                raise ValueError(f"propose returned {len(drafts)} drafts for {len(asked)} sequences: it must return one each")
            self._failures = 0
        except Exception:
            self._failed("propose")
            return works
        works = list(works)
        for i, draft in zip(asked, drafts, strict=True):
            works[i] = replace(works[i], draft=self._usable(draft, works[i].sequence, lengths[i]))
        return works

    def _usable(self, draft: Draft, sequence: Sequence, length: int) -> Draft:
        """The part of a draft that may be verified: up to the length, the first invalid id, the first end token, or what the
        request's grammar forbids."""
        if draft.stale(sequence):
            return Draft.empty(sequence, draft.source)
        usable = 0
        for token in draft.tokens[:length]:
            if not 0 <= token < self.target.vocab_size:
                break
            usable += 1
            if token in sequence.end_ids:
                break
        return _permitted(draft.cut(usable), sequence)

    @property
    def _drafter_wants_hidden(self) -> bool:
        return self.drafter is not None and self.drafter.wants_hidden and self._failures < _FAILURES_BEFORE_REST

    def _give(self, sequence: Sequence, start: int, hidden: Any) -> None:
        self._tell("receive", sequence, start, hidden)

    def _tell(self, what: str, *arguments: object) -> None:
        if self.drafter is None:
            return
        try:
            getattr(self.drafter, what)(*arguments)
        except Exception:
            self._failed(what)

    def _failed(self, what: str) -> None:
        assert self.drafter is not None
        self._failures += 1
        rest = "; it is not asked any more" if self._failures == _FAILURES_BEFORE_REST else ""
        log.warning("drafter %r failed in %s; requests go on without its draft%s", self.drafter.name, what, rest, exc_info=True)


def _permitted(draft: Draft, sequence: Sequence) -> Draft:
    """What of a draft the sequence's grammar can accept: the rest would only cost a place in the target's pass."""
    constraint = sequence.constraint
    return draft if constraint is None else draft.cut(constraint.permitted(sequence.output, draft.tokens))
