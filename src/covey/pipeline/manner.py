"""How drafting and verifying take turns: manners, and who chooses among them.

A manner says how many sequences draft and are verified together, when a pass has enough, in which thread the drafter runs, and whether
it goes on while the target verifies. Knows nothing of sequences.

    manner = ByNumber().manner(sequences=4, able=True); manner.share(4)      # Halves, 2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from covey.pipeline.desk import Desk
from covey.pipeline.lane import Job


class Manner:
    """All sequences in one group, one thing after the other, the drafter in its thread."""

    name = "in turn"
    ahead = False

    def share(self, sequences: int) -> int:
        """The most of so many drafting sequences that make one proposal, or one pass."""
        return sequences

    def enough(self, ready: int, held: int, plain: int) -> bool:
        """Whether the target begins, with so many drafts ready, so many sequences that draft, and so many besides that do not."""
        return ready == held

    def ask(self, desk: Desk, job: Job) -> None:
        desk.post(job)


class Here(Manner):
    """The same, without the thread: as `Serial`."""

    name = "serial"

    def ask(self, desk: Desk, job: Job) -> None:
        desk.do(job)


class Halves(Manner):
    """Two groups: while the target verifies one, the drafter writes for the other. Whoever comes and goes, no group is more than half."""

    name = "halves"

    def share(self, sequences: int) -> int:
        return -(-sequences // 2)

    def enough(self, ready: int, held: int, plain: int) -> bool:
        return ready > 0 or plain > 0 or held == 0


class Ahead(Manner):
    """One group: while its drafts are verified, the drafter goes on as if they were right."""

    name = "ahead"
    ahead = True


@dataclass(frozen=True)
class Measured:
    """One step: for each sequence that it brought on, how many drafted tokens were verified and how many accepted; the seconds from the
    beginning of this step to that of the next, and of these, or of those before, what the drafts took to write. steady: nobody came, went
    or was in prefill."""

    lengths: tuple[int, ...]
    accepted: tuple[int, ...]
    seconds: float
    draft_seconds: float
    steady: bool

    @property
    def sequences(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        return len(self.lengths) + sum(self.accepted)


class Chooser(Protocol):
    """Chooses the manner for every step."""

    def manner(self, sequences: int, able: bool) -> Manner:
        """For so many sequences that decode; able: the drafter can go ahead."""
        ...

    def measured(self, happened: Measured) -> None:
        """How the last step went."""
        ...


class ByNumber:
    """Halves for two or more, ahead for one where the drafter can."""

    def __init__(self) -> None:
        self._halves, self._ahead, self._in_turn = Halves(), Ahead(), Manner()

    def manner(self, sequences: int, able: bool) -> Manner:
        if sequences > 1:
            return self._halves
        return self._ahead if able else self._in_turn

    def measured(self, happened: Measured) -> None:
        """It does not measure."""
