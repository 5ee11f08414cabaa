"""The intermediate result pool (Smurfs, SC'25): sequences that wait for their drafts, and drafts that wait for the target.

The drafter pauses while as many drafts are ready as the limit says, a full batch of the target's, and goes on below it. Knows nothing of
threads or of when a pass begins.

    pool = Pool(limit=8); pool.add(Held(work, planned=4)); group = pool.group(4); ...; pool.absorb(); pool.take(4)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from covey.pipeline.ticket import Proposal, Ticket
from covey.types import Draft, Work


@dataclass(eq=False)
class Held:
    """One sequence: its work, the length that was planned, what its draft is awaited from, and whether it is there, in the work."""

    work: Work
    planned: int
    ticket: Ticket | None = None
    ready: bool = False

    @property
    def arrived(self) -> bool:
        return not self.ready and self.ticket is not None and self.ticket.done


class Pool:
    """By sequence, in the order of arrival. limit: drafts ready at which drafters pause."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: dict[int, Held] = {}
        self._ready: dict[int, Held] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def num_ready(self) -> int:
        return len(self._ready)

    @property
    def full(self) -> bool:
        return len(self._ready) >= self.limit

    @property
    def news(self) -> bool:
        """Whether anything came that was not absorbed yet."""
        return any(held.arrived for held in self._held.values())

    def add(self, held: Held) -> None:
        self._held[held.work.sequence.id] = held

    def drop(self, number: int) -> None:
        self._held.pop(number, None)
        self._ready.pop(number, None)

    def group(self, most: int) -> list[Held]:
        """The longest-waiting sequences that nobody drafts for: at most so many, and none beyond the limit; none while others are drafted
        for, so that those who come in the meantime make one group."""
        if any(isinstance(held.ticket, Proposal) and not held.ready for held in self._held.values()):
            return []
        waiting = [held for held in self._held.values() if held.ticket is None and not held.ready]
        return waiting[: max(0, min(most, self.limit - len(self._ready)))]

    def absorb(self) -> None:
        """Take in what came. A draft for a text that did not come true, or that is empty, is waited for no more: another is asked for."""
        for number, held in self._held.items():
            if not held.arrived:
                continue
            assert held.ticket is not None
            draft, sequence = held.ticket.results.get(number), held.work.sequence
            if isinstance(held.ticket, Proposal):
                draft = draft or Draft.empty(sequence)
            elif draft is None or not len(draft) or draft.stale(sequence):
                held.ticket = None
                continue
            self._make_ready(number, held, draft.cut(held.planned))

    def release(self) -> None:
        """No drafts will come: everybody goes on without."""
        for number, held in self._held.items():
            if not held.ready:
                self._make_ready(number, held, Draft.empty(held.work.sequence))

    def take(self, most: int) -> list[Held]:
        """Those that were ready first."""
        taken = list(self._ready.values())[:most]
        for held in taken:
            self.drop(held.work.sequence.id)
        return taken

    def _make_ready(self, number: int, held: Held, draft: Draft) -> None:
        held.work, held.ready = replace(held.work, draft=draft), True
        self._ready[number] = held
