"""Where a drafter works while the target verifies: one queue through which everything reaches it, and its own copies of the texts.

A drafter is called by one thread at a time, in the order in which the engine spoke, and never sees a sequence that the engine is
writing to. What it only has to be told is handed over together with the next thing that is asked of it. One that hangs is never
called again. All pipelines that share a drafter share its desk. Knows nothing of the target or of who is verified when.

    desk = Desk(drafter, ThreadLane("covey-drafter", placement), patience=30.0); desk.post(lambda: desk.propose(ticket))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from covey.pipeline.guard import Guard
from covey.pipeline.lane import Job, Lane
from covey.pipeline.ticket import Ahead, Proposal, Ticket
from covey.types import Draft, Drafter, Round, Sequence

log = logging.getLogger(__name__)

_MOST_NOTES = 64  # that are kept back for the next job


class Desk:
    """patience: seconds that one job may take before the drafter counts as hung. branches: see Guard."""

    def __init__(self, drafter: Drafter, lane: Lane, patience: float, branches: bool = True) -> None:
        self.guard, self.lane, self.patience = Guard(drafter, branches), lane, patience
        self._copies: dict[int, Sequence] = {}  # the drafter's, touched by jobs alone
        self._notes: list[Job] = []
        self._hand_over = self.post
        self._work = 0.0, 0.0  # seconds over what is done; when that under way began, 0 where nothing is: read and written as one

    @property
    def drafter(self) -> Drafter:
        return self.guard.drafter

    @property
    def hung(self) -> bool:
        return self.guard.faults.quarantined > 0

    @property
    def worked(self) -> float:
        """Seconds that the drafter has spent over drafts, those of the draft under way included."""
        worked, since = self._work
        return worked + (time.perf_counter() - since if since else 0.0)

    # -- the engine's side: what the drafter is told

    def start(self, sequence: Sequence) -> None:
        copy = sequence.copy()
        self._note(lambda: self._start(copy))

    def stop(self, sequence: Sequence) -> None:
        """At once, and not with the next proposal: it gives memory back."""
        number = sequence.id
        self._note(lambda: self._stop(number))
        self._hand_over(_nothing)

    def rest(self, sequence: Sequence) -> None:
        number = sequence.id
        self._note(lambda: self._tell("rest", number))

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> None:
        number, other = sequence.id, of.id
        self._note(lambda: self.guard.tell("inherit", self._copies[number], self._copies[other], length))

    def receive(self, sequence: Sequence, start: int, hidden: Any) -> None:
        number = sequence.id
        self._note(lambda: self._tell("receive", number, start, hidden))

    def commit(self, sequence: Sequence, tokens: tuple[int, ...], draft: Draft | None, accepted: int) -> None:
        """These tokens were committed. draft: what was sent of a draft, None where there was none."""
        number = sequence.id
        self._note(lambda: self._commit(number, tokens, draft, accepted))

    def heed(self, floor: float | None, checking: float) -> None:
        self._note(lambda: self.guard.tell("heed", floor, checking))

    def observe(self, happened: Round) -> None:
        self._note(lambda: self.guard.tell("observe", happened))

    # -- the engine's side: what it is asked

    def post(self, job: Job) -> None:
        """Have a job done in the drafter's thread, after what was said before."""
        self._hand_over = self.post
        if not self.check():
            self.lane.submit(self._with_notes(job))

    def do(self, job: Job) -> None:
        """Have a job done in the calling thread, after what was said before. A hang in it cannot be cut."""
        self._hand_over = self.do
        if not self.check() and not self.lane.run_here(self._with_notes(job), self.patience):
            self._quarantine()

    def wait(self, done: Callable[[], bool]) -> None:
        """Return when done() is true, or the drafter hangs."""
        if not self.hung and not self.lane.wait(done, self.patience):
            self._quarantine()

    def settle(self) -> None:
        """Return when everything was handed over, and done."""
        self._hand_over(_nothing)
        self.wait(lambda: self.lane.idle)

    def close(self) -> None:
        """End the thread, or say that it could not be ended."""
        self.settle()
        self.lane.close()
        if self.hung:
            log.warning("drafter %r still hangs in thread %r; it ends with the process", self.drafter.name, self.lane.name)

    def _note(self, job: Job) -> None:
        self._notes.append(job)
        if len(self._notes) >= _MOST_NOTES:
            self._hand_over(_nothing)

    def _with_notes(self, job: Job) -> Job:
        notes, self._notes = self._notes, []

        def whole() -> None:
            for note in notes:
                note()
            job()

        return whole

    def check(self) -> bool:
        """Whether the drafter hangs, as of now: a wait finds that out, but there may be none while others decode plainly."""
        if not self.hung and self.lane.overdue(self.patience):
            self._quarantine()
        if self.hung:
            self._notes.clear()
        return self.hung

    def _quarantine(self) -> None:
        self.guard.quarantine()
        self.lane.abandon(self._late)
        self._notes.clear()
        name, thread = self.drafter.name, self.lane.name
        log.error("drafter %r has not answered for %g s; it is not called again, and thread %r is left to it", name, self.patience, thread)

    def _late(self) -> None:
        self.guard.faults.late += 1
        log.warning("drafter %r answered too late; what it said is thrown away", self.drafter.name)

    # -- the drafter's side

    def propose(self, ticket: Proposal) -> None:
        """The job of a proposal."""
        self._begin()
        try:
            copies = [self._copies[number] for number in ticket.ids]
            drafts = self.guard.propose(copies, ticket.lengths, ticket.vocab_size)
            ticket.results.update(zip(ticket.ids, drafts, strict=True))
        finally:
            self._end(ticket)

    def go_ahead(self, ticket: Ahead) -> None:
        """The job of drafting ahead: a token at a time, so that it ends soon after a verdict says that any of it is in vain."""
        self._begin()
        try:
            under_way = list(zip(ticket.ids, ticket.sent, ticket.lengths, strict=True))
            for length in range(1, max(ticket.lengths) + 1):
                under_way = [each for each in under_way if each[2] >= length]
                if not under_way or self.guard.rests:
                    break
                if not all(ticket.came_true(number) for number in ticket.ids):
                    for number, _, _ in under_way:
                        ticket.results.pop(number, None)
                    break
                copies, sent = [self._copies[number] for number, _, _ in under_way], [sent for _, sent, _ in under_way]
                drafts = self.guard.propose_ahead(copies, sent, [length] * len(copies), ticket.vocab_size)
                ticket.results.update((number, draft) for (number, _, _), draft in zip(under_way, drafts, strict=True))
                under_way = [each for each, draft in zip(under_way, drafts, strict=True) if len(draft) == length]
        finally:
            self._end(ticket)

    def _begin(self) -> None:
        self._work = self._work[0], time.perf_counter()

    def _end(self, ticket: Ticket) -> None:
        worked, since = self._work
        ticket.seconds = time.perf_counter() - since
        self._work = worked + ticket.seconds, 0.0
        ticket.done = True

    def _start(self, copy: Sequence) -> None:
        self._copies[copy.id] = copy
        self.guard.tell("start", copy)

    def _stop(self, number: int) -> None:
        self.guard.tell("stop", self._copies.pop(number))

    def _tell(self, what: str, number: int, *arguments: Any) -> None:
        self.guard.tell(what, self._copies[number], *arguments)

    def _commit(self, number: int, tokens: tuple[int, ...], draft: Draft | None, accepted: int) -> None:
        copy = self._copies[number]
        copy.commit(tokens)
        if draft is not None:
            self.guard.tell("commit", copy, draft, accepted)


def _nothing() -> None:
    """A job that hands over what is to be said, and asks nothing."""
