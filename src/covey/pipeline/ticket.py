"""What is asked of a drafter in its own thread, and what came of it: a proposal, or going on while the target verifies.

A ticket is written by the drafter's thread until it is done, and by the engine's thread in the fields that say so. Whoever does not
want it any more forgets it: what comes late is nobody's.

    ticket = Proposal([7, 9], [4, 4], vocab_size); desk.propose(ticket); ...; ticket.results[7]
"""

from __future__ import annotations

from dataclasses import dataclass, field

from covey.types import Draft


@dataclass(eq=False)
class Ticket:
    """ids: sequences. lengths: the longest draft for each. results: drafts by sequence. seconds: what it took."""

    ids: list[int]
    lengths: list[int]
    vocab_size: int
    results: dict[int, Draft] = field(default_factory=dict)
    seconds: float = 0.0
    done: bool = False


@dataclass(eq=False)
class Proposal(Ticket):
    """Drafts for texts as they stand."""


@dataclass(eq=False)
class Ahead(Ticket):
    """Drafts for texts as they will stand if what is being verified is right. sent: how much of each last draft went out.

    came, by the engine: where each text stands now that its verdict is there. gone, by the engine: texts that did not come true. The
    others are not gone on with either, then: to finish them first would keep those waiting that must be drafted for anew.
    """

    sent: list[int] = field(default_factory=list)
    came: dict[int, tuple[int, int]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    def came_true(self, number: int) -> bool:
        """Whether what was supposed of a text may still be so, or is."""
        found, came = self.results.get(number), self.came.get(number)
        return number not in self.gone and (came is None or found is None or came == (found.start, found.prefix_id))
