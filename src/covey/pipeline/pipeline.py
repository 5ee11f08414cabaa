"""What a pipeline is: the seam between the engine and the order in which drafting and verifying take place.

An engine hands in the works that are scheduled, is told which of them (and of those from before) are ready with their drafts, says
how much of each is verified, and gets the verdicts. A sequence whose draft is under way is held, and is not scheduled again
until its verdict is there. Knows nothing of scheduling, text or statistics.

    ready = pipeline.draft(works, lengths); outcome = pipeline.verify(ready, cuts); pipeline.commit(work, proposed, tokens, accepted)
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Protocol

from covey.control import Cut
from covey.pipeline.guard import Faults
from covey.types import Draft, Drafter, Round, Sequence, Target, Verdict, Work


@dataclass(frozen=True)
class Ready:
    """What can go into the target's next pass: works with their whole drafts, and the length that was planned for each.

    draft_seconds: what writing these drafts took; waited: how long the engine waited for them. pool: sequences that are held besides;
    pool_limit: ready ones at which drafters pause, 0 where there is no pool. manner: how it was done, in a word.
    """

    works: list[Work] = field(default_factory=list)
    planned: list[int] = field(default_factory=list)
    draft_seconds: float = 0.0
    waited: float = 0.0
    pool: int = 0
    pool_limit: int = 0
    manner: str = "serial"

    def cut(self, cuts: list[Cut]) -> list[Work]:
        """The works with as much of their drafts as is to be verified."""
        return [replace(work, draft=work.draft.cut(cut.length)) for work, cut in zip(self.works, cuts, strict=True)]


@dataclass(frozen=True)
class Outcome:
    """What one pass gave: what was ready for it, the works as verified, how drafts were cut, a verdict for each work that was complete,
    and the seconds that it took, during `beside` of which a drafter was at work."""

    ready: Ready
    works: list[Work]
    cuts: list[Cut]
    verdicts: list[Verdict | None]
    verify_seconds: float
    beside: float = 0.0

    @property
    def proposed(self) -> list[Draft]:
        """The whole drafts."""
        return [work.draft for work in self.ready.works]


class Pipeline(Protocol):
    """Used by one thread at a time. close ends what it began itself; target and drafter are closed by whoever made them."""

    target: Target

    @property
    def drafter(self) -> Drafter | None: ...

    @property
    def faults(self) -> Faults:
        """What the drafter did wrong so far."""
        ...

    @property
    def held(self) -> Container[int]:
        """The ids of sequences that are not to be scheduled: their drafts are under way, or wait for the target."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether any sequence is held, so that a step has something to do although nothing is scheduled."""
        ...

    def start(self, sequence: Sequence) -> None: ...

    def stop(self, sequence: Sequence) -> None:
        """Forget a sequence in whatever phase it is."""
        ...

    def rest(self, sequence: Sequence, length: int) -> None:
        """The sequence takes no part for now, in whatever phase it is; the first `length` positions of its row are kept while nobody
        wants their place."""
        ...

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> bool:
        """Give a sequence that was just started what was read of another one that begins alike; False when the target cannot."""
        ...

    def heed(self, floor: float | None, checking: float) -> None:
        """Tell the drafter where a draft need not go on, and what checking a token costs."""
        ...

    def observe(self, happened: Round) -> None:
        """Tell the drafter what a round cost."""
        ...

    def draft(self, works: list[Work], lengths: list[int]) -> Ready:
        """Take in works, and say what can be verified: at least one work where any was given or held.

        lengths[i] caps the draft of works[i]; 0 where it is not complete or decodes plainly.
        """
        ...

    def verify(self, ready: Ready, cuts: list[Cut]) -> Outcome:
        """One pass of the target over what is ready, drafts cut. Raises what the target raises."""
        ...

    def commit(self, work: Work, proposed: Draft, tokens: tuple[int, ...], accepted: int) -> None:
        """A sequence has committed these tokens: the drafter is told what became of what it proposed. work: as verified."""
        ...

    def settle(self) -> None:
        """Return when the drafter has nothing to do and has been told everything."""
        ...

    def close(self) -> None: ...
