"""One sitting of a vote in lockstep: who is asked about which draft, and when.

The next token of a draft is voted on in turns, the cheapest members first. The cheapest always guesses, dearer ones where that pays
(`economy.py`); kin are asked at once (`section.py`). Where nobody dearer is worth asking, the token is written and the next one begins.
Where somebody may be, the draft waits until all others wait or are done, so that as many as can share a pass: if passes of the cheaper
ones cost next to nothing beside it. Else all drafts keep step.

    Sitting(members, turns, copies, ledger, economy, Plurality(), thrifty=True, clock=time.perf_counter).hold(drafts)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from covey.drafters.economy import Economy, Prospect
from covey.drafters.elections import Election
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Asked, Cast, Ledger, Standing, Voted
from covey.drafters.member import Member
from covey.drafters.section import Section
from covey.drafters.winnings import kind_of

_NEXT_TO_NOTHING = 1 / 32  # of a pass: a draft that goes ahead makes the cheap ones run several times more


@dataclass(frozen=True)
class Turn:
    """Those who are asked at once, and in which order."""

    section: Section
    numbers: list[int]


class Copies:
    """A member's own copies of the drafts that are voted on, written on by the vote. Each is begun when the member may be asked about it
    for the first time, which for a dear one is seldom. begin: how, None where it cannot take part."""

    def __init__(self, begin: Callable[[Growing], Growing | None]) -> None:
        self._begin = begin
        self._begun: dict[int, Growing | None] = {}  # by sequence

    def of(self, draft: Growing) -> Growing | None:
        name = draft.sequence.id
        if name not in self._begun:
            self._begun[name] = self._begin(draft)
        return self._begun[name]

    def end(self, draft: Growing) -> None:
        """The vote on a draft is over: what was written is known to all who took part."""
        if (own := self._begun.get(draft.sequence.id)) is not None:
            own.tokens[:] = draft.tokens


@dataclass(slots=True)
class _Ballots:
    """The vote on the next token of one draft while it is held. questions: what is to be asked in the turn that it waits for."""

    draft: Growing
    casts: list[Cast] = field(default_factory=list)
    voted: Voted | None = None
    heard: bool = False
    questions: list[_Question] = field(default_factory=list)


class _Question(NamedTuple):
    """To a member by its number: what comes next in its own copy of a draft, of which somebody was as sure as this kind. free: asked
    without regard to what that costs."""

    ballot: _Ballots
    number: int
    own: Growing
    kind: int
    free: bool


class Sitting:
    """See above. copies: those of each member."""

    def __init__(
        self,
        members: list[Member],
        turns: list[Turn],
        copies: list[Copies],
        ledger: Ledger,
        economy: Economy,
        election: Election,
        thrifty: bool,
        clock: Callable[[], float],
    ) -> None:
        self.members, self.turns, self.copies, self.ledger, self.economy = members, turns, copies, ledger, economy
        self.election, self.thrifty, self.clock = election, thrifty, clock
        self._waiting: list[list[_Ballots]] = [[] for _ in turns]
        self._one_text = False

    def hold(self, drafts: list[Growing]) -> None:
        """Vote until all are done."""
        self._one_text = len(drafts) == 1
        for draft in drafts:
            self._begin(draft)
        while any(self._waiting):
            at = self._due()
            ballots, self._waiting[at] = self._waiting[at], []
            self._hear(self.turns[at], ballots)
            for ballot in ballots:
                self._pass_on(ballot, at + 1)
        for draft in drafts:
            for copies in self.copies:
                copies.end(draft)

    def _begin(self, draft: Growing) -> None:
        if not draft.done:
            self._pass_on(_Ballots(draft), 0)

    def _pass_on(self, ballot: _Ballots, at: int) -> None:
        """To the next turn, from this one on, in which somebody may be worth asking; to the next token where that is none."""
        for turn in range(at, len(self.turns)):
            ballot.questions = self._questions(self.turns[turn].numbers, ballot)
            if ballot.questions:
                self._waiting[turn].append(ballot)
                return
        if ballot.voted is None:
            ballot.draft.end()
        else:
            self.ledger.write(ballot.draft, ballot.casts, ballot.voted)
            self._begin(ballot.draft)

    def _due(self) -> int:
        """The turn that is held next: the dearest that is waited for, or one that costs next to nothing beside it."""
        waited = [turn for turn in range(len(self.turns)) if self._waiting[turn]]
        due = waited.pop()
        for turn in reversed(waited):
            if self._next_to_nothing(turn, due):
                due = turn
        return due

    def _next_to_nothing(self, turn: int, dearer: int) -> bool:
        """Whether a pass of one turn for one draft costs next to nothing beside a pass of another, as far as is known."""
        mine, theirs = (self.economy.fares[self.turns[each].numbers[0]] for each in (turn, dearer))
        return mine is not None and theirs is not None and mine.of(1) <= theirs.of(1) * _NEXT_TO_NOTHING

    def _hear(self, turn: Turn, ballots: list[_Ballots]) -> None:
        """Ask those whose turn it is about these drafts where that pays."""
        questions = self._worth_asking([question for ballot in ballots for question in ballot.questions])
        if not questions:
            return
        asked = [(question.number, question.own) for question in questions]
        unread = turn.section.unread(asked)
        usual = not unread and turn.section.usual(asked)
        passes = sum(self.members[number].passes(own) for number, own in asked) if unread else 0
        began = self.clock()
        guesses = turn.section.guesses(asked)
        seconds = self.clock() - began
        # A member with a text to catch up with costs less next time, which is soon: until some were without, it is asked everywhere.
        if usual:
            self.economy.spent(turn.numbers, seconds, guesses=len(asked), sequences=len({own.sequence.id for _, own in asked}))
        elif unread:
            self.economy.caught_up(unread, seconds, passes)
        share = seconds / len(questions)
        for question, guess in zip(questions, guesses, strict=True):
            standing = self.ledger.standings[question.own.sequence.id]
            standing.spend(question.number, share, free=question.free, times=1)
            if guess is not None:
                self._count(question, Cast(question.number, guess.token, guess.probability, guess.likely, guess.others), standing)

    def _questions(self, numbers: list[int], ballot: _Ballots) -> list[_Question]:
        """Who of those who are asked at once may be worth asking about one draft."""
        draft, casts = ballot.draft, ballot.casts
        kind = kind_of(max([cast.estimate for cast in casts]) if casts else None)
        alive, alone = draft.alive, self._one_text and len(numbers) == 1
        questions: list[_Question] = []
        for number in numbers:
            free = not ballot.heard or not self.thrifty or self.members[number].guesser is None
            if not free and not self.economy.considers(number, kind, alive, alone):
                continue
            own = self.copies[number].of(draft)
            if own is None or len(draft.tokens) >= own.length:
                continue
            ballot.heard = True
            own.tokens[:] = draft.tokens
            questions.append(_Question(ballot, number, own, kind, free))
        return questions

    def _worth_asking(self, questions: list[_Question]) -> list[_Question]:
        """Those of them that cost nothing or pay."""
        priced = [question for question in questions if not question.free]
        if not priced:
            return questions
        chosen = iter(self.economy.chosen([self._prospect(question) for question in priced], paid=len(priced) < len(questions)))
        return [question for question in questions if question.free or next(chosen)]

    def _prospect(self, question: _Question) -> Prospect:
        member, own = self.members[question.number], question.own
        unread = member.unread(own.sequence, len(own.tokens))
        return Prospect(question.number, question.kind, question.ballot.draft.alive, member.passes(own), unread)

    def _count(self, question: _Question, cast: Cast, standing: Standing) -> None:
        """Elect anew with one more guess, and note what that changed where it had to be worth its time."""
        ballot = question.ballot
        before, beside_before = ballot.voted, self._beside(ballot, question)
        ballot.casts.append(cast)
        if before is not None:
            ballot.casts.sort(key=lambda cast: cast.member)  # of equals the first member decides, whoever was asked first
        ballot.voted = self.election.elect(ballot.draft, ballot.casts, standing)
        if not question.free:
            place, voted = len(ballot.draft.tokens), (before.token,) if before else ()
            changed = Asked(cast.member, question.kind, place, voted, (ballot.voted.token,), beside_before, self._beside(ballot, question))
            standing.asked.append(changed)

    def _beside(self, ballot: _Ballots, question: _Question) -> frozenset[int]:
        """What was not elected so far, and is worth being sent beside what was, where that is to be known."""
        if ballot.voted is None or question.free:
            return frozenset()
        passed, alive = self.ledger.passed_over(ballot.casts, ballot.voted), ballot.draft.alive
        return frozenset(each.token for each in passed if alive * each.sure > self.economy.checking)
