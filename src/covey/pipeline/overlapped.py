"""Drafting and verifying at the same time: the target in the engine's thread, the drafter in its own, the pool between them.

What is drafted and verified together, and when, is a `Manner`'s business, which a `Chooser` chooses for every step. Waits block; nothing
polls. An abort, an error or the end finds a sequence in the pool, at the drafter or nowhere, and takes it from there.

    pipeline = Overlapped(target, Desk(drafter, lane, patience=30.0), limit=8, chooser=ByNumber())
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container
from typing import Any

from covey.control import Cut
from covey.pipeline.desk import Desk
from covey.pipeline.guard import Faults, take_over
from covey.pipeline.manner import Chooser, Manner, Measured
from covey.pipeline.pipeline import Outcome, Ready
from covey.pipeline.pool import Held, Pool
from covey.pipeline.ticket import Ahead, Proposal, Ticket
from covey.types import Draft, Drafter, Round, Sequence, Target, Work


class Overlapped:
    """See Pipeline. limit: ready drafts at which the drafter pauses, the target's full batch."""

    def __init__(self, target: Target, desk: Desk, limit: int, chooser: Chooser) -> None:
        self.target, self.desk, self.chooser = target, desk, chooser
        self.pool = Pool(limit)
        self.manner = Manner()
        self._ahead: dict[int, Ahead] = {}  # by sequence: what is drafted while it is verified
        self._steady = True
        self._last: Outcome | None = None
        self._began = 0.0

    @property
    def drafter(self) -> Drafter:
        return self.desk.drafter

    @property
    def faults(self) -> Faults:
        return self.desk.guard.faults

    @property
    def held(self) -> Container[int]:
        return self.pool

    @property
    def waiting(self) -> bool:
        return len(self.pool) > 0

    def start(self, sequence: Sequence) -> None:
        self._steady = False
        self.target.start(sequence)
        self.desk.start(sequence)

    def stop(self, sequence: Sequence) -> None:
        self._steady = False
        self.target.stop(sequence)
        self.pool.drop(sequence.id)
        self._give_up(sequence.id)
        self.desk.stop(sequence)

    def rest(self, sequence: Sequence, length: int) -> None:
        self._steady = False
        self.pool.drop(sequence.id)
        self._give_up(sequence.id)
        self.target.rows.rest(self.target.rows[sequence.id], length)
        self.desk.rest(sequence)

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> bool:
        inherited = take_over(self.target, sequence, of, length)
        if inherited:
            self.desk.inherit(sequence, of, length)
        return inherited

    def heed(self, floor: float | None, checking: float) -> None:
        self.desk.heed(floor, checking)

    def observe(self, happened: Round) -> None:
        self.desk.observe(happened)

    def draft(self, works: list[Work], lengths: list[int]) -> Ready:
        began = time.perf_counter()
        self._report(began)
        plain = [(work, length) for work, length in zip(works, lengths, strict=True) if not self._take_in(work, length)]
        decoding = len(self.pool) + sum(work.complete for work, _ in plain)
        self.manner = self.chooser.manner(decoding, self.drafter.drafts_ahead)
        self._await(len(plain))
        waited = time.perf_counter() - began
        taken = self.pool.take(self.manner.share(len(self.pool)))
        self._feed(len(self.pool) + len(taken))
        drafted = [(held.work, held.planned) for held in taken]
        planned = [length for _, length in drafted + plain]
        seconds, pool = _seconds(taken), len(self.pool)
        return Ready([work for work, _ in drafted + plain], planned, seconds, waited, pool, self.pool.limit, self.manner.name)

    def verify(self, ready: Ready, cuts: list[Cut]) -> Outcome:
        works = ready.cut(cuts)
        if self.manner.ahead and not self.desk.guard.rests:
            self._go_ahead(ready, works)
        gifts: list[tuple[Sequence, int, Any]] = []
        wanted = self.drafter.wants_hidden and not self.desk.guard.rests
        began, worked = time.perf_counter(), self.desk.worked
        verdicts = self.target.verify(works, (lambda *gift: gifts.append(gift)) if wanted else None)
        seconds = time.perf_counter() - began
        beside = min(max(0.0, self.desk.worked - worked), seconds)
        for gift in gifts:
            self.desk.receive(*gift)
        self._last = Outcome(ready, works, cuts, verdicts, seconds, beside)
        return self._last

    def commit(self, work: Work, proposed: Draft, tokens: tuple[int, ...], accepted: int) -> None:
        sequence = work.sequence
        self.desk.commit(sequence, tokens, work.draft if len(proposed) else None, accepted)
        if (ticket := self._ahead.get(sequence.id)) is not None:
            if accepted < len(work.draft):
                self._give_up(sequence.id)
            else:
                ticket.came[sequence.id] = len(sequence.tokens), sequence.prefix_id

    def settle(self) -> None:
        self.desk.settle()

    def close(self) -> None:
        self.desk.close()

    def _take_in(self, work: Work, length: int) -> bool:
        """Into the pool with what waits for a draft; whether it does."""
        if length <= 0 or self.desk.guard.rests:
            self._give_up(work.sequence.id)
            return False
        self.pool.add(Held(work, length, self._ahead.pop(work.sequence.id, None)))
        return True

    def _await(self, plain: int) -> None:
        """Block until the manner says that there is enough for a pass."""
        while True:
            self.pool.absorb()
            if self.desk.check():
                self.pool.release()
            if self.pool.full or self.manner.enough(self.pool.num_ready, len(self.pool), plain):
                return
            if not self._feed(len(self.pool)):
                self.desk.wait(lambda: self.pool.news)

    def _feed(self, drafting: int) -> bool:
        """Give the drafter its next group; whether there was one. drafting: how many sequences draft."""
        group = self.pool.group(self.manner.share(drafting))
        if group:
            ticket = Proposal([held.work.sequence.id for held in group], [held.planned for held in group], self.target.vocab_size)
            for held in group:
                held.ticket = ticket
            self.manner.ask(self.desk, lambda: self.desk.propose(ticket))
        return bool(group)

    def _go_ahead(self, ready: Ready, works: list[Work]) -> None:
        """Have the drafter go on from what is sent, as far as another draft of the same length can be of use."""
        asked = []
        for whole, work, planned in zip(ready.works, works, ready.planned, strict=True):
            sent = len(work.draft)
            length = min(planned, work.sequence.max_draft_tokens - sent - 1)
            if len(whole.draft) and length > 0:
                asked.append((work.sequence.id, length, sent))
        if asked and not self.pool.full:
            ids, lengths, sent_each = ([each[part] for each in asked] for part in range(3))
            ticket = Ahead(ids, lengths, self.target.vocab_size, sent=sent_each)
            self._ahead.update(dict.fromkeys(ids, ticket))
            self.desk.post(lambda: self.desk.go_ahead(ticket))

    def _give_up(self, number: int) -> None:
        """What was drafted ahead for a sequence is of no use."""
        if (ticket := self._ahead.pop(number, None)) is not None:
            ticket.gone.add(number)

    def _report(self, now: float) -> None:
        """Tell the chooser how the last step went, now that it is committed and the next one begins."""
        if self._last is not None:
            outcome, self._last = self._last, None
            works, verdicts = outcome.works, [verdict for verdict in outcome.verdicts if verdict is not None]
            steady = self._steady and len(verdicts) == len(works) and all(work.count == 1 for work in works)
            lengths, accepted = tuple(len(work.draft) for work in works), tuple(verdict.accepted for verdict in verdicts)
            self.chooser.measured(Measured(lengths, accepted, now - self._began, outcome.ready.draft_seconds, steady))
        self._began, self._steady = now, True


def _seconds(taken: list[Held]) -> float:
    """What drafts took: their shares of the proposals that they came from."""
    tickets: Counter[Ticket] = Counter(held.ticket for held in taken if held.ticket is not None)
    return sum(ticket.seconds * count / len(ticket.ids) for ticket, count in tickets.items())
