"""Who goes in next: a bounded queue before an engine, fair between API keys.

The engine itself is first come, first served; so no more completions are let in than it can run, and when a place is free the
caller who holds the fewest comes first, of equals the one who has waited longest for a turn. Belongs to the event loop: no locks.

    ticket = gate.enter("key-1", places=2); await ticket.admitted(); ticket.give_back(2)
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable

_PACE = 0.1
_LONGEST_WAIT = 60


class Full(Exception):
    """The queue of this caller is full. seconds: when it is worth trying again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the queue is full; try again in {seconds} s")
        self.seconds = seconds


class Ticket:
    """One request's place in the queue, and then its places in the engine."""

    def __init__(self, gate: Gate, caller: str, places: int) -> None:
        self.caller, self.places = caller, places
        self._gate = gate
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.entered = time.monotonic()

    @property
    def is_in(self) -> bool:
        return self._turn.done()

    def let_in(self) -> None:
        self._turn.set_result(None)

    async def admitted(self) -> None:
        """Returns when it is this request's turn. To be followed by `leave`, also where it is cancelled."""
        await asyncio.shield(self._turn)

    def give_back(self, places: int = 1) -> None:
        """So many of its completions have ended."""
        self._gate.free(self, min(places, self.places))

    def leave(self) -> None:
        """The request is over, or nobody waits for it any more. May be called twice."""
        self._gate.leave(self)


class Gate:
    """capacity: completions that the engine runs together. queue_size: requests of one caller that may wait."""

    def __init__(self, capacity: int, queue_size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity, self.queue_size = capacity, queue_size
        self._waiting: dict[str, deque[Ticket]] = {}
        self._held: Counter[str] = Counter()
        self._turns: dict[str, int] = {}
        self._turn = 0
        self._clock = clock
        self._seconds = 1.0  # that a place is held, lately
        self.busy_since = 0.0
        self._admitted: dict[Ticket, float] = {}

    @property
    def running(self) -> int:
        """Completions that were let in and have not ended."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def longest_wait(self) -> float:
        """Seconds that the request has waited for its turn that waits longest; 0 for none."""
        entered = [queue[0].entered for queue in self._waiting.values()]
        return time.monotonic() - min(entered) if entered else 0.0

    @property
    def idle(self) -> bool:
        return not self._admitted and not self.waiting

    def enter(self, caller: str, places: int) -> Ticket:
        """A ticket, perhaps let in at once. Raises Full."""
        ticket = Ticket(self, caller, places)
        queue = self._waiting.setdefault(caller, deque())
        queue.append(ticket)
        self._let_in()
        if not ticket.is_in and len(queue) > self.queue_size:
            self._withdraw(ticket)
            raise Full(self._patience())
        return ticket

    def free(self, ticket: Ticket, places: int) -> None:
        if ticket in self._admitted and places:
            self._seconds += _PACE * (self._clock() - self._admitted[ticket] - self._seconds)
            ticket.places -= places
            self._held[ticket.caller] -= places
            if not self._held[ticket.caller]:
                del self._held[ticket.caller]
            self._let_in()

    def leave(self, ticket: Ticket) -> None:
        if ticket in self._admitted:
            self.free(ticket, ticket.places)
            del self._admitted[ticket]
        else:
            self._withdraw(ticket)

    def _withdraw(self, ticket: Ticket) -> None:
        queue = self._waiting.get(ticket.caller)
        if queue is not None and ticket in queue:
            queue.remove(ticket)
            if not queue:
                del self._waiting[ticket.caller]

    def _let_in(self) -> None:
        """A request of several completions goes in when one place is free: the engine itself queues the rest."""
        while self._waiting and self.running < self.capacity:
            caller = min(self._waiting, key=lambda name: (self._held[name], self._turns.get(name, 0)))
            ticket = self._waiting[caller].popleft()
            if not self._waiting[caller]:
                del self._waiting[caller]
            self._turn += 1
            self._turns[caller] = self._turn
            if not self._admitted:
                self.busy_since = self._clock()
            self._admitted[ticket] = self._clock()
            self._held[caller] += ticket.places
            ticket.let_in()

    def _patience(self) -> int:
        return min(_LONGEST_WAIT, max(1, math.ceil(self._seconds * (self.waiting + 1) / self.capacity)))
