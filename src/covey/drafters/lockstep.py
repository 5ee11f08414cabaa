"""A vote in lockstep: everybody guesses one token after what was voted so far, one is elected, and all go on from there.

Members that draft whole sequences only are heard as long as the vote has followed theirs. Here members begin their own copies of the
drafts; how the vote on them is held is for a `Sitting`, and how one token is elected for an `Election`.

    Lockstep(members, ledger, Plurality(), thrifty=True, clock=time.perf_counter).vote(drafts)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from covey.drafters.elections import Election
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Ledger
from covey.drafters.member import Member, Whole
from covey.drafters.section import sections
from covey.drafters.sitting import Copies, Sitting, Turn


class Lockstep:
    """See above. thrifty: False asks everybody everywhere."""

    def __init__(self, members: list[Member], ledger: Ledger, election: Election, thrifty: bool, clock: Callable[[], float]) -> None:
        self.members, self.ledger, self.election, self.thrifty, self.clock = members, ledger, election, thrifty, clock
        self.sections = sections(members)

    def vote(self, drafts: list[Growing]) -> None:
        """Write these drafts, all of one target."""
        self._hold(drafts, [self._copies(number, drafts) for number in range(len(self.members))])

    def go_on(self, drafts: list[Growing]) -> None:
        """Write on in these drafts, whose lengths were raised. Members that draft whole sequences have said what they had to say."""
        self._hold(drafts, [Copies(partial(self._join, number)) for number in range(len(self.members))])

    def _hold(self, drafts: list[Growing], copies: list[Copies]) -> None:
        """Vote until all are done. copies: those of each member."""
        if drafts:
            economy = self.ledger.economy(drafts[0].sequence.target)
            turns = self._turns(economy.order())
            Sitting(self.members, turns, copies, self.ledger, economy, self.election, self.thrifty, self.clock).hold(drafts)

    def _turns(self, order: list[int]) -> list[Turn]:
        """Who is asked when, and in which order of those who are asked at once; order: of all members."""
        turns = [Turn(section, sorted(section.numbers, key=order.index)) for section in self.sections]
        return sorted(turns, key=lambda turn: order.index(turn.numbers[0]))

    def _copies(self, number: int, drafts: list[Growing]) -> Copies:
        """A member that drafts whole sequences only does that now."""
        if self.members[number].guesser is not None:
            return Copies(partial(self._open, number))
        proposed = self._proposed(number, drafts)
        return Copies(lambda draft: proposed.get(draft.sequence.id))

    def _open(self, number: int, draft: Growing) -> Growing | None:
        member = self.members[number]
        if draft.length <= 0 or not member.drafts_for(draft.sequence):
            return None
        own: Growing | None = member.call("open", None, draft.sequence, draft.length)
        return own

    def _join(self, number: int, draft: Growing) -> Growing | None:
        member = self.members[number]
        if member.guesser is None or not member.drafts_for(draft.sequence):
            return None
        own: Growing | None = member.call("join", None, draft.sequence, draft.supposed, max(0, draft.length - draft.supposed))
        return own

    def _proposed(self, number: int, drafts: list[Growing]) -> dict[int, Growing]:
        """The drafts of a member that cannot be led, by sequence."""
        member = self.members[number]
        wanted = [draft for draft in drafts if draft.length > 0 and member.drafts_for(draft.sequence)]
        if not wanted:
            return {}
        began = self.clock()
        proposed = member.call("propose", [], [draft.sequence for draft in wanted], [draft.length for draft in wanted])
        usable = [(draft, own) for draft, own in zip(wanted, proposed, strict=False) if not own.stale(draft.sequence)]
        seconds = self.clock() - began
        for draft in wanted:
            self.ledger.spend(number, draft.sequence, seconds / len(wanted), free=True)
        tokens = sum(len(own) for _, own in usable)
        self.ledger.economy(wanted[0].sequence.target).spent((number,), seconds, guesses=tokens, sequences=tokens)
        return {draft.sequence.id: Whole(draft.sequence, draft.start, len(own), own=own) for draft, own in usable}
