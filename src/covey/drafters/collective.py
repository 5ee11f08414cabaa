"""Many drafters, one draft: members guess, a weighted vote decides, and one draft is verified, however many voted.

Two ways to vote. *token*: all members go on from what was voted so far, one token at a time; members that draft whole
sequences only are heard as long as the vote has followed theirs. The cheapest member always guesses, dearer ones where that
pays (`economy.py`). *sequence*: each member drafts alone, and the heaviest path through the tree of their drafts is taken
(Smurfs, SC'25). Every member is scored on the verified text, whoever won.

    LLM("smollm2", drafters=["suffix:smollm2", "nested:draft"])      # a token vote of the two
    LLM("smollm2", drafters=[CollectiveDrafter([SuffixDrafter(), ModelDrafter("small")], vote="sequence", weights="hedge")])
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covey.drafters.economy import Economy, kind_of
from covey.drafters.guesser import Growing, Guess, Guesser
from covey.drafters.hits import HitTable
from covey.drafters.records import Records
from covey.errors import CoveyError
from covey.types import Draft, Drafter, Host, Round, Sequence
from covey.vote import Ballot, Elected, Standing, heaviest_path, winner
from covey.weights import POLICIES, HitRates, Policy, Weights

log = logging.getLogger(__name__)

VOTES = ("token", "sequence")
MOST_MEMBERS = 8
_FAILURES_BEFORE_REST = 3
_LITTLE = 8  # tokens that are read along with a guess at no cost to speak of
_CLASSES = 12  # of estimates, for how often elected tokens come true


@dataclass(frozen=True)
class _Cast:
    """A member's guess at one position, and its estimate that it is right."""

    member: int
    token: int
    estimate: float


@dataclass(frozen=True)
class _Asked:
    """What asking a dear member changed at one position: the token that would have been voted without it, and with it."""

    member: int
    kind: int
    before: int | None
    after: int


@dataclass
class _Standing:
    """What a collective keeps of one sequence: its members' weights, the draft that was voted, and what everybody guessed along it."""

    weights: Weights
    rates: HitRates
    draft: Growing | None = None
    casts: list[list[_Cast]] = field(default_factory=list)
    asked: list[list[_Asked]] = field(default_factory=list)
    elected: list[tuple[int, int]] = field(default_factory=list)  # kind and token, also of the last one, if not worth writing
    votes: list[tuple[str, ...]] = field(default_factory=list)


@dataclass
class _Ballots:
    """The vote on the next token of one draft while it is held."""

    draft: Growing
    casts: list[_Cast] = field(default_factory=list)
    asked: list[_Asked] = field(default_factory=list)
    elected: Elected | None = None
    heard: bool = False


class _Member:
    """A drafter in a collective, kept from doing harm: one whose method fails three times in a row is not asked any more."""

    def __init__(self, drafter: Drafter) -> None:
        self.drafter, self.rests = drafter, False
        self.name = drafter.name
        self.guesser = drafter if isinstance(drafter, Guesser) else None
        self._failures: Counter[str] = Counter()  # by method, in a row

    def call(self, what: str, otherwise: Any, *arguments: Any) -> Any:
        """One of the drafter's methods; `otherwise` where it fails or rests. What it began it is still told to stop."""
        if self.rests and what != "stop":
            return otherwise
        try:
            done = getattr(self.drafter, what)(*arguments)
        except Exception:
            if self.rests:
                return otherwise
            self._failures[what] += 1
            self.rests = self._failures[what] >= _FAILURES_BEFORE_REST
            rest = "; it is not asked any more" if self.rests else ""
            log.warning("member %r failed in %s; the others go on without it%s", self.name, what, rest, exc_info=True)
            return otherwise
        del self._failures[what]
        return done


class CollectiveDrafter(Drafter):
    """A drafter made of drafters.

    members: one to eight, each another object. vote: "token" or "sequence". weights: a policy, or the name of one:
    uniform, multiplicative (Smurfs), hedge, log_odds, confidence. min_survival: a voted draft ends before the token with which the
    estimated probability of being right so far falls under this; see SuffixDrafter. thrifty: in a token vote, ask dear members
    only where that pays; False asks everybody everywhere. state: a file that the members' records are kept in from one process
    to the next. clock: what time is measured with.

    Survival is learned online: by who was for a token and how sure the surest of them was. Raises CoveyError for members, vote
    or weights that cannot be.
    """

    def __init__(
        self,
        members: Seq[Drafter],
        *,
        vote: str = "token",
        weights: str | Policy = "confidence",
        min_survival: float = 0.15,
        thrifty: bool = True,
        state: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not 1 <= len(members) <= MOST_MEMBERS or len({id(member) for member in members}) < len(members):
            raise CoveyError(f"members={[member.name for member in members]}: give 1 to {MOST_MEMBERS} drafters, each another object")
        if vote not in VOTES:
            raise CoveyError(f"vote={vote!r}: vote must be one of {', '.join(VOTES)}")
        if isinstance(weights, str) and weights not in POLICIES:
            raise CoveyError(f"weights={weights!r}: weights must be one of {', '.join(POLICIES)}")
        if not 0 <= min_survival < 1:
            raise CoveyError(f"min_survival={min_survival!r}: min_survival must be from 0 to below 1")
        self.members = [_Member(_unled(member)) for member in members]
        self.vote, self.min_survival, self.thrifty, self.clock = vote, min_survival, thrifty, clock
        self.policy: Policy = POLICIES[weights]() if isinstance(weights, str) else weights
        self.name = "+".join(member.name for member in self.members)
        self.serves_several = all(member.serves_several for member in members)
        self.wants_hidden = any(member.wants_hidden for member in members)
        self.records, self._state = Records(tuple(member.name for member in self.members)), state
        if state is not None:
            self.records.load(state)
        self._tables: dict[str, HitTable] = {}
        self._economies: dict[str, Economy] = {}
        self._standings: dict[int, _Standing] = {}

    @property
    def bytes_per_token(self) -> int:
        return sum(member.drafter.bytes_per_token for member in self.members)

    @property
    def member_names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    @property
    def parameter_bytes(self) -> int:
        return sum(getattr(member.drafter, "parameter_bytes", 0) for member in self.members)

    def bind(self, host: Host) -> None:
        """A member that does not fit the target is named by its own error."""
        for member in self.members:
            member.drafter.bind(host)

    def start(self, sequence: Sequence) -> None:
        for member in self.members:
            member.call("start", None, sequence)
        prior = self.records.of(sequence.target, sequence.params.label)
        self._standings[sequence.id] = _Standing(self.policy.begin(prior), HitRates(prior))

    def stop(self, sequence: Sequence) -> None:
        for member in self.members:
            member.call("stop", None, sequence)
        self._standings.pop(sequence.id, None)

    def close(self) -> None:
        for member in self.members:
            member.drafter.close()
        self._standings.clear()
        if self._state is not None:
            self.records.save(self._state)

    def receive(self, sequence: Sequence, start: int, hidden: Any) -> None:
        for member in self.members:
            if member.drafter.wants_hidden:
                member.call("receive", None, sequence, start, hidden)

    def observe(self, happened: Round) -> None:
        """What the target's time is worth decides who is asked."""
        self.economy(happened.target).observe(happened)
        for member in self.members:
            member.call("observe", None, happened)

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """Score everybody's guesses, and let the members learn."""
        self._settle(sequence)
        for member in self.members:
            member.call("commit", None, sequence, draft, accepted)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        drafts = [self._open(sequence, length) for sequence, length in zip(sequences, lengths, strict=True)]
        (self._vote_tokens if self.vote == "token" else self._vote_sequences)(drafts)
        return [self._finished(draft) for draft in drafts]

    # -- voting

    def _vote_tokens(self, drafts: list[Growing]) -> None:
        """Lockstep: everybody's guess at one position after what was voted before it, then the next."""
        led = [self._lead(number, drafts) for number in range(len(self.members))]  # for each member, by sequence
        while growing := [draft for draft in drafts if not draft.done]:
            ballots = [_Ballots(draft) for draft in growing]
            economy = self.economy(growing[0].sequence.target)
            for number in economy.order():
                self._hear(number, led[number], ballots, economy)
            for ballot in ballots:
                draft = ballot.draft
                self._standings[draft.sequence.id].asked.append(ballot.asked)
                if ballot.elected is None:
                    draft.end()
                else:
                    self._write(draft, ballot.casts, ballot.elected.token)
                for member_drafts in led:
                    if (follower := member_drafts.get(draft.sequence.id)) is not None:
                        follower.tokens[:] = draft.tokens

    def _hear(self, number: int, led: dict[int, Growing], ballots: list[_Ballots], economy: Economy) -> None:
        """Ask one member about those drafts where it can be heard and where that pays."""
        member = self.members[number]
        wanted: list[tuple[_Ballots, Growing, int]] = []
        for ballot in ballots:
            own = led.get(ballot.draft.sequence.id)
            if own is None or len(ballot.draft.tokens) >= own.length:
                continue
            kind = kind_of(max((cast.estimate for cast in ballot.casts), default=None))
            missed = len(own.tokens) - len(own.evidence) if member.drafter.wants_hidden else 0
            if not self.thrifty or not ballot.heard or member.guesser is None or economy.pays(number, kind, ballot.draft.alive, 1 + missed):
                wanted.append((ballot, own, kind))
            ballot.heard = True
        if not wanted:
            return
        behind = max((member.call("unread", 0, own) for _, own, _ in wanted), default=0) if member.guesser is not None else 0
        began = self.clock()
        guesses = self._guesses(member, [own for _, own, _ in wanted])
        # What a whole draft cost was spent when it was made, and a member that has a text to catch up with costs less next time.
        if member.guesser is not None and (behind <= _LITTLE or economy.cost[number] is None):
            economy.spent(number, self.clock() - began, len(wanted))
        for (ballot, _, kind), guess in zip(wanted, guesses, strict=True):
            if guess is not None:
                before = ballot.elected
                ballot.casts.append(_Cast(number, guess.token, guess.probability))
                ballot.casts.sort(key=lambda cast: cast.member)  # of equals the first member decides, whoever was asked first
                ballot.elected = self._elect(ballot)
                ballot.asked.append(_Asked(number, kind, before.token if before else None, ballot.elected.token))

    @staticmethod
    def _guesses(member: _Member, asked: list[Growing]) -> list[Guess | None]:
        if member.guesser is None:
            return [own.next() for own in asked if isinstance(own, _Whole)]
        guesses: list[Guess | None] = member.call("ask", [None] * len(asked), asked)
        return guesses

    def _lead(self, number: int, drafts: list[Growing]) -> dict[int, Growing]:
        """The drafts that a member takes part in, by sequence; its own copy, written on by the vote."""
        member, wanted = self.members[number], [draft for draft in drafts if draft.length > 0]
        if member.guesser is not None:
            opened = {draft.sequence.id: member.call("open", None, draft.sequence, draft.length) for draft in wanted}
            return {name: draft for name, draft in opened.items() if draft is not None}
        if not wanted:
            return {}
        began = self.clock()
        proposed = member.call("propose", [], [draft.sequence for draft in wanted], [draft.length for draft in wanted])
        usable = [(draft, own) for draft, own in zip(wanted, proposed, strict=False) if not own.stale(draft.sequence)]
        self.economy(wanted[0].sequence.target).spent(number, self.clock() - began, sum(len(own) for _, own in usable))
        return {draft.sequence.id: _Whole(draft.sequence, draft.start, len(own), own=own) for draft, own in usable}

    def _vote_sequences(self, drafts: list[Growing]) -> None:
        """Everybody drafts alone; the heaviest path through all drafts of a sequence is voted."""
        wanted = [draft for draft in drafts if draft.length > 0]
        if not wanted:
            return
        sequences, lengths = [draft.sequence for draft in wanted], [draft.length for draft in wanted]
        proposed = [member.call("propose", [], sequences, lengths) for member in self.members]
        for index, draft in enumerate(wanted):
            own = {n: p[index] for n, p in enumerate(proposed) if index < len(p) and not p[index].stale(draft.sequence)}
            self._walk(draft, own)

    def _walk(self, draft: Growing, own: dict[int, Draft]) -> None:
        standing = self._standings[draft.sequence.id]
        numbers = sorted(own)
        sure = {n: _conditional(own[n], 0) for n in numbers if len(own[n])}
        path = heaviest_path(
            [own[n].tokens[: draft.length] for n in numbers],
            [Standing(standing.weights.of(n, sure.get(n, 0.0)), standing.rates.of(n)) for n in numbers],
        )
        for depth, elected in enumerate(path):
            # A member is heard, and scored, where its own tokens before are the voted ones.
            casts = [
                _Cast(n, own[n].tokens[depth], _conditional(own[n], depth))
                for n in numbers
                if len(own[n]) > depth and own[n].tokens[:depth] == tuple(draft.tokens)
            ]
            self._write(draft, casts, elected.token)
            if draft.done:
                return

    def _elect(self, ballot: _Ballots) -> Elected:
        standing = self._standings[ballot.draft.sequence.id]
        weights, rates = standing.weights, standing.rates
        return winner([Ballot(c.token, weights.of(c.member, c.estimate), rates.of(c.member)) for c in ballot.casts])

    def _write(self, draft: Growing, casts: list[_Cast], token: int) -> None:
        """Note who guessed what, and write the voted token if it is worth it."""
        standing = self._standings[draft.sequence.id]
        supporters = [cast for cast in casts if cast.token == token]
        kind = self._kind(supporters)
        probability = self._table(draft.sequence.target).probability(kind)
        standing.casts.append(casts)
        standing.elected.append((kind, token))
        if draft.alive * probability < self.min_survival:
            draft.end()
            return
        draft.add(token, probability)
        standing.votes.append(tuple(self.members[cast.member].name for cast in supporters))

    def _finished(self, draft: Growing) -> Draft:
        standing = self._standings[draft.sequence.id]
        records = tuple((member.name, standing.rates.of(number)) for number, member in enumerate(self.members))
        written = tuple(draft.tokens), tuple(draft.survival), self.name, tuple(standing.votes), records
        return Draft(draft.start, draft.sequence.prefix_id, *written)

    # -- learning

    def _open(self, sequence: Sequence, length: int) -> Growing:
        if sequence.id not in self._standings:  # a drafter must do without `start`
            self.start(sequence)
        self._settle(sequence)
        standing = self._standings[sequence.id]
        standing.draft = Growing(sequence, len(sequence.tokens), length)
        standing.casts, standing.asked, standing.elected, standing.votes = [], [], [], []
        return standing.draft

    def _settle(self, sequence: Sequence) -> None:
        """Score every guess up to the first position where what was voted is wrong."""
        standing = self._standings.get(sequence.id)
        if standing is None or standing.draft is None:
            return
        draft, standing.draft = standing.draft, None
        right = draft.agreed
        table = self._table(sequence.target)
        for index, token in enumerate(sequence.tokens[draft.start : draft.start + min(right + 1, len(standing.casts))]):
            for cast in standing.casts[index]:
                standing.weights.record(cast.member, cast.token == token, cast.estimate)
                standing.rates.record(cast.member, cast.token == token)
                self.records.record(sequence.target, sequence.params.label, cast.member, cast.token == token)
            for asked in standing.asked[index] if standing.asked else ():
                self.economy(sequence.target).learn(asked.member, asked.kind, (asked.after == token) - (asked.before == token))
            kind, elected = standing.elected[index]
            table.record(kind, elected == token)

    def economy(self, target: str) -> Economy:
        """The books that are kept of a target's rounds."""
        return self._economies.setdefault(target, Economy(len(self.members)))

    def _table(self, target: str) -> HitTable:
        if target not in self._tables:
            middles = [(c + 0.5) / _CLASSES for c in range(_CLASSES)]
            self._tables[target] = HitTable(middles * (1 << len(self.members)))
        return self._tables[target]

    @staticmethod
    def _kind(supporters: list[_Cast]) -> int:
        """Who was for it, and how sure the surest of them was."""
        company = sum(1 << cast.member for cast in supporters)
        surest = max(cast.estimate for cast in supporters)
        return company * _CLASSES + min(_CLASSES - 1, int(surest * _CLASSES))


@dataclass
class _Whole(Growing):
    """A whole draft of a member that cannot be led: heard while what was voted is its own."""

    own: Draft | None = None

    def next(self) -> Guess | None:
        assert self.own is not None
        at = len(self.tokens)
        if at >= len(self.own) or tuple(self.tokens) != self.own.tokens[:at]:
            return None
        return Guess(self.own.tokens[at], _conditional(self.own, at))


def _conditional(draft: Draft, index: int) -> float:
    """The estimate that one token of a draft is right if all before it are."""
    before = draft.survival[index - 1] if index else 1.0
    return min(1.0, draft.survival[index] / before) if before > 0 else 0.0


def _unled(member: Drafter) -> Drafter:
    """In a collective the vote ends a draft, not one member's own limit."""
    if isinstance(member, Guesser):
        member.min_survival = 0.0
    return member
