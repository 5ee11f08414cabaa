"""A vote in lockstep: everybody guesses one token after what was voted so far, one is elected, and all go on from there.

Members that draft whole sequences only are heard as long as the vote has followed theirs. The cheapest member always guesses,
dearer ones where that pays (`economy.py`); kin are asked at once (`section.py`). How one token is elected is for an `Election` to say.

    Lockstep(members, ledger, Plurality(), thrifty=True, clock=time.perf_counter).vote(drafts)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from covey.drafters.economy import Economy, Prospect
from covey.drafters.elections import Election
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Asked, Cast, Ledger, Voted
from covey.drafters.member import Member, Whole
from covey.drafters.section import Section, sections
from covey.drafters.winnings import kind_of


@dataclass
class _Ballots:
    """The vote on the next token of one draft while it is held."""

    draft: Growing
    casts: list[Cast] = field(default_factory=list)
    voted: Voted | None = None
    heard: bool = False


@dataclass(frozen=True)
class _Question:
    """To a member by its number: what comes next in its own copy of a draft, of which somebody was as sure as this kind. free: asked
    without regard to what that costs."""

    ballot: _Ballots
    number: int
    own: Growing
    kind: int
    free: bool


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
        """Vote until all are done. led: for each member, the drafts that it takes part in, by sequence."""
        if not drafts:
            return
        economy = self.ledger.economy(drafts[0].sequence.target)
        turns = self._turns(economy.order())
        while growing := [draft for draft in drafts if not draft.done]:
            ballots = [_Ballots(draft) for draft in growing]
            for section, numbers in turns:
                self._hear(section, numbers, led, ballots, economy)
            for ballot in ballots:
                draft = ballot.draft
                if ballot.voted is None:
                    draft.end()
                else:
                    self.ledger.write(draft, ballot.casts, ballot.voted)
                for member_drafts in led:
                    if (follower := member_drafts.get(draft.sequence.id)) is not None:
                        follower.tokens[:] = draft.tokens

    def _turns(self, order: list[int]) -> list[tuple[Section, list[int]]]:
        """Who is asked when, and in which order of those who are asked at once; order: of all members."""
        turns = [(section, sorted(section.numbers, key=order.index)) for section in self.sections]
        return sorted(turns, key=lambda turn: order.index(turn[1][0]))

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

    def _hear(self, section: Section, numbers: list[int], led: list[dict[int, Growing]], ballots: list[_Ballots], economy: Economy) -> None:
        """Ask a section, whose members have these numbers, about those drafts where they can be heard and where that pays."""
        questions = self._worth_asking([each for ballot in ballots for each in self._questions(numbers, led, ballot, economy)], economy)
        if not questions:
            return
        asked = [(question.number, question.own) for question in questions]
        unread = section.unread(asked)
        usual = not unread and section.usual(asked)
        passes = sum(self.members[number].passes(own) for number, own in asked) if unread else 0
        began = self.clock()
        guesses = section.guesses(asked)
        seconds = self.clock() - began
        for question in questions:
            self.ledger.spend(question.number, question.own.sequence, seconds / len(questions), free=question.free)
        # A member with a text to catch up with costs less next time, which is soon: until one is measured without, it is asked everywhere.
        if usual:
            economy.spent(section.numbers, seconds, guesses=len(asked), sequences=len({own.sequence.id for _, own in asked}))
        elif unread:
            economy.caught_up(unread, seconds, passes)
        for question, guess in zip(questions, guesses, strict=True):
            self.ledger.standings[question.ballot.draft.sequence.id].times[question.number] += 1
            if guess is not None:
                self._count(question, Cast(question.number, guess.token, guess.probability, guess.likely))

    def _questions(self, numbers: list[int], led: list[dict[int, Growing]], ballot: _Ballots, economy: Economy) -> list[_Question]:
        """Who of those who are asked at once may be worth asking about one draft."""
        kind = kind_of(max((cast.estimate for cast in ballot.casts), default=None))
        questions: list[_Question] = []
        for number in numbers:
            member, own = self.members[number], led[number].get(ballot.draft.sequence.id)
            if own is None or len(ballot.draft.tokens) >= own.length:
                continue
            free = not self.thrifty or not ballot.heard or member.guesser is None
            if free or economy.considers(number, kind, ballot.draft.alive):
                questions.append(_Question(ballot, number, own, kind, free))
            ballot.heard = True
        return questions

    def _worth_asking(self, questions: list[_Question], economy: Economy) -> list[_Question]:
        """Those of them that cost nothing or pay."""
        priced = [question for question in questions if not question.free]
        if not priced:
            return questions
        chosen = iter(economy.chosen([self._prospect(question) for question in priced], paid=len(priced) < len(questions)))
        return [question for question in questions if question.free or next(chosen)]

    def _prospect(self, question: _Question) -> Prospect:
        member, own = self.members[question.number], question.own
        unread = member.unread(own.sequence, len(own.tokens))
        return Prospect(question.number, question.kind, question.ballot.draft.alive, member.passes(own), unread)

    def _count(self, question: _Question, cast: Cast) -> None:
        """Elect anew with one more guess, and note what that changed where it had to be worth its time."""
        ballot = question.ballot
        standing = self.ledger.standings[ballot.draft.sequence.id]
        before = ballot.voted
        ballot.casts.append(cast)
        ballot.casts.sort(key=lambda cast: cast.member)  # of equals the first member decides, whoever was asked first
        ballot.voted = self.election.elect(ballot.draft, ballot.casts, standing)
        if not question.free:
            place = len(ballot.draft.tokens)
            standing.asked.append(Asked(cast.member, question.kind, place, (before.token,) if before else (), (ballot.voted.token,)))
