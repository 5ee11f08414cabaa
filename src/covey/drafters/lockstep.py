"""A vote in lockstep: everybody guesses one token after what was voted so far, one is elected, and all go on from there.

Members that draft whole sequences only are heard as long as the vote has followed theirs. Here members begin their own copies of the
drafts; how the vote on them is held is for a `Sitting`, and how one token is elected for an `Election`.

    Lockstep(members, ledger, Plurality(), thrifty=True, clock=time.perf_counter).vote(drafts)
"""

from __future__ import annotations

from collections.abc import Callable

from covey.drafters.elections import Election
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Ledger
from covey.drafters.member import Member, Whole
from covey.drafters.section import sections
from covey.drafters.sitting import Sitting, Turn


class Lockstep:
    """See above. thrifty: False asks everybody everywhere."""

    def __init__(self, members: list[Member], ledger: Ledger, election: Election, thrifty: bool, clock: Callable[[], float]) -> None:
        self.members, self.ledger, self.election, self.thrifty, self.clock = members, ledger, election, thrifty, clock
        self.sections = sections(members)

    def vote(self, drafts: list[Growing]) -> None:
        """Write these drafts, all of one target."""
        self._hold(drafts, [self._lead(number, drafts) for number in range(len(self.members))])

    def go_on(self, drafts: list[Growing]) -> None:
        """Write on in these drafts, whose lengths were raised. Members that draft whole sequences have said what they had to say."""
        self._hold(drafts, [self._resume(number, drafts) for number in range(len(self.members))])

    def _hold(self, drafts: list[Growing], led: list[dict[int, Growing]]) -> None:
        """Vote until all are done. led: for each member, its own copies of the drafts that it takes part in, by sequence."""
        if drafts:
            economy = self.ledger.economy(drafts[0].sequence.target)
            turns = self._turns(economy.order())
            Sitting(self.members, turns, led, self.ledger, economy, self.election, self.thrifty, self.clock).hold(drafts)

    def _turns(self, order: list[int]) -> list[Turn]:
        """Who is asked when, and in which order of those who are asked at once; order: of all members."""
        turns = [Turn(section, sorted(section.numbers, key=order.index)) for section in self.sections]
        return sorted(turns, key=lambda turn: order.index(turn.numbers[0]))

    def _resume(self, number: int, drafts: list[Growing]) -> dict[int, Growing]:
        """The drafts that a member took part in, and can go on with."""
        member = self.members[number]
        if member.guesser is None:
            return {}
        parts = [(draft, max(0, draft.length - draft.supposed)) for draft in drafts if member.drafts_for(draft.sequence)]
        resumed = {draft.sequence.id: member.call("resume", None, draft.sequence, draft.supposed, length) for draft, length in parts}
        return {name: draft for name, draft in resumed.items() if draft is not None}

    def _lead(self, number: int, drafts: list[Growing]) -> dict[int, Growing]:
        """The drafts that a member takes part in, by sequence; its own copy, written on by the vote."""
        member = self.members[number]
        wanted = [draft for draft in drafts if draft.length > 0 and member.drafts_for(draft.sequence)]
        if member.guesser is not None:
            opened = {draft.sequence.id: member.call("open", None, draft.sequence, draft.length) for draft in wanted}
            return {name: draft for name, draft in opened.items() if draft is not None}
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
