"""What a collective learns: who guessed what along the draft that was voted, and, once the text is known, how everybody fared.

A `Standing` is of one sequence; records by kind of request, what members cost and bring, and how often elected tokens come true
outlive it. Everybody is scored on the verified text, whoever won. Knows nothing of how a vote is held.

    draft = ledger.open(sequence, 4); ledger.write(draft, casts, voted); ledger.finished(draft, "a+b"); ...; ledger.settle(sequence)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from covey.drafters.economy import Economy
from covey.drafters.guesser import Growing
from covey.drafters.hits import Corrections
from covey.drafters.records import Records
from covey.kinship import Kinship
from covey.types import Contribution, Draft, Sequence
from covey.vote import Sharing, whole
from covey.weights import HitRates, Policy, Weights

_CLASSES = 12  # of estimates, for how often elected tokens come true
_MOST_PASSED = 3


class Cast(NamedTuple):
    """A member's guess at one position, its estimate that it is right, which tokens it finds how likely, where it says so, and what else it
    says may come there."""

    member: int
    token: int
    estimate: float
    likely: tuple[tuple[int, float], ...] = ()
    others: tuple[tuple[int, float], ...] = ()


class Voted(NamedTuple):
    """The token that a vote chose, whose guess it was, and how sure the vote is of it."""

    token: int
    supporters: tuple[Cast, ...]
    sure: float


class Passed(NamedTuple):
    """A token that was not elected, but may come all the same: how sure somebody is of it, and who; kind: what that is judged by."""

    token: int
    sure: float
    supporters: tuple[int, ...]
    kind: Hashable


@dataclass(frozen=True)
class Asked:
    """What asking a dear member changed: the tokens, from one place of the draft on, that would have been voted without it, and with it;
    and what would have stood beside the first of these, and was worth being sent."""

    member: int
    kind: int
    place: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    beside_before: frozenset[int] = frozenset()
    beside_after: frozenset[int] = frozenset()

    def won(self, known: Seq[int]) -> int:
        """How many more tokens of this text, which begins at the place, there are for asking."""
        without = _agreed(self.before, known) or int(known[0] in self.beside_before)
        return (_agreed(self.after, known) or int(known[0] in self.beside_after)) - without


@dataclass(slots=True)
class Spent:
    """How often a member was asked for a draft, and its time over it; see Contribution."""

    times: int = 0
    seconds: float = 0.0
    ventured: float = 0.0


_NOTHING = Spent()


@dataclass
class Standing:
    """What is kept of one sequence: its members' weights, the draft that was voted, and what everybody guessed along it.

    sharing: how members that err together share their votes. elected: what was voted, by what kind of vote, also a last token that was
    not worth writing. passed: what was not elected beside it. spent: by member, for the draft that is told next.
    """

    weights: Weights
    rates: HitRates
    sharing: Sharing = whole
    draft: Growing | None = None
    casts: list[list[Cast]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    elected: list[tuple[Hashable, Voted]] = field(default_factory=list)
    passed: list[list[Passed]] = field(default_factory=list)
    votes: list[tuple[str, ...]] = field(default_factory=list)
    spent: dict[int, Spent] = field(default_factory=dict)

    def open(self, draft: Growing) -> None:
        self.draft, self.casts, self.asked, self.elected, self.passed, self.votes = draft, [], [], [], [], []
        self.reckon_anew()

    def shift(self, count: int) -> None:
        """The first `count` tokens of the draft are settled."""
        del self.casts[:count], self.elected[:count], self.passed[:count], self.votes[:count]
        self.asked = [replace(asked, place=asked.place - count) for asked in self.asked if asked.place >= count]

    def reckon_anew(self) -> None:
        """What is asked from here on is told with another draft: what was asked so far is in the one that was sent."""
        self.spent = {}

    def spend(self, member: int, seconds: float, *, free: bool, times: int = 0) -> None:
        """A member was asked so often, and took so long over the draft. free: without regard to what that costs."""
        spent = self.spent.get(member) or self.spent.setdefault(member, Spent())
        spent.times += times
        spent.seconds += seconds
        if not free:
            spent.ventured += seconds

    def contribution(self, member: int, name: str) -> Contribution:
        rate, spent = self.rates.of(member), self.spent.get(member, _NOTHING)
        return Contribution(name, rate, self.weights.of(member, rate), spent.times, spent.seconds, spent.ventured)


class Ledger:
    """The books of one collective. min_survival: a draft ends before the token with which its survival would fall under this, as
    long as no controller sets another floor."""

    def __init__(self, names: tuple[str, ...], policy: Policy, min_survival: float) -> None:
        self.names, self.policy, self.min_survival = names, policy, min_survival
        self.branches = True  # whether drafts may have any
        self.floor: float | None = None  # this and what checking costs are a controller's
        self._checking = 0.0
        self.records = Records(names)
        self.standings: dict[int, Standing] = {}
        self._corrections: dict[str, Corrections] = {}
        self._economies: dict[str, Economy] = {}
        self._kinships: dict[str, Kinship] = {}

    def begin(self, sequence: Sequence) -> None:
        """A sequence starts from what its kind of request showed."""
        prior = self.records.of(sequence.target, sequence.kind)
        sharing = self.kinship(sequence.target).share if self.policy.shared else whole
        self.standings[sequence.id] = Standing(self.policy.begin(prior), HitRates(prior), sharing)

    def end(self, sequence: Sequence) -> None:
        self.standings.pop(sequence.id, None)

    def heed(self, floor: float | None, checking: float) -> None:
        """What a controller says; see Drafter.heed."""
        self.floor, self._checking = floor, checking
        for economy in self._economies.values():
            economy.checking = checking

    def learned(self) -> dict[str, Any]:
        """What outlives a process: how often members were right, alone and together, and what asking them won. Not what took how long:
        that is measured anew, perhaps on another machine."""
        targets = {*self._economies, *self._corrections, *self._kinships}
        return {"kinds": self.records.learned(), "targets": {target: self._learned_with(target) for target in sorted(targets)}}

    def _learned_with(self, target: str) -> dict[str, Any]:
        winnings = [each.learned() for each in self.economy(target).winnings]
        return {"winnings": winnings, "corrections": self._corrections_of(target).learned(), "kinship": self.kinship(target).learned()}

    def take_up(self, held: dict[str, Any]) -> None:
        """What another process has learned. Raises ValueError, TypeError or KeyError where it is not that."""
        self.records.take_up(held["kinds"])
        for target, learned in held["targets"].items():
            for winnings, seen in zip(self.economy(target).winnings, learned["winnings"], strict=True):
                winnings.take_up(seen)
            self._corrections_of(target).take_up(learned["corrections"])
            self.kinship(target).take_up(learned["kinship"])

    def economy(self, target: str) -> Economy:
        """What members cost and bring with a target."""
        if target not in self._economies:
            self._economies[target] = Economy(len(self.names), self._checking)
        return self._economies[target]

    def kinship(self, target: str) -> Kinship:
        """How much members err together with a target."""
        if target not in self._kinships:
            self._kinships[target] = Kinship(len(self.names))
        return self._kinships[target]

    def open(self, sequence: Sequence, length: int) -> Growing:
        """Begin a draft; what the last one came to is learned first. The sequence has begun."""
        self.settle(sequence)
        draft = Growing(sequence, len(sequence.tokens), length)
        self.standings[sequence.id].open(draft)
        return draft

    def resume(self, sequence: Sequence, supposed: int, length: int) -> Growing | None:
        """The last draft, to be written on as if so many of its tokens were right; None where there is none, or where it ended because
        nobody had anything to say that was worth writing."""
        standing = self.standings.get(sequence.id)
        draft = None if standing is None else standing.draft
        if standing is None or draft is None or draft.start != len(sequence.tokens) or len(standing.votes) < len(standing.elected):
            return None
        if not draft.supposed:
            standing.reckon_anew()
        draft.suppose(supposed, length)
        return draft

    def write(self, draft: Growing, casts: list[Cast], voted: Voted) -> None:
        """Note who guessed what, and write the voted token if it is worth it, and what else may come beside it."""
        standing, corrections = self.standings[draft.sequence.id], self._corrections_of(draft.sequence.target)
        kind, passed = _kind(casts, voted), self.passed_over(casts, voted)
        standing.casts.append(casts)
        standing.elected.append((kind, voted))
        standing.passed.append(passed)
        others = ((each.token, corrections.of(each.kind, each.sure), self._named(each.supporters)) for each in passed)
        if draft.extend(voted.token, corrections.of(kind, voted.sure), self.min_survival, self.floor, others):
            standing.votes.append(self._named(cast.member for cast in voted.supporters))

    def passed_over(self, casts: list[Cast], voted: Voted) -> list[Passed]:
        """What was not elected and may become a branch, the surest first."""
        return _passed_over(casts, voted) if self.branches else []

    def _named(self, members: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.names[member] for member in members)

    def finished(self, draft: Growing, source: str) -> Draft:
        """The draft as it goes to the target, with what is to be told of it."""
        standing = self.standings[draft.sequence.id]
        members = tuple(standing.contribution(number, name) for number, name in enumerate(self.names))
        return draft.draft(source, votes=tuple(standing.votes[draft.supposed :]), members=members)

    def spend(self, member: int, sequence: Sequence, seconds: float, *, free: bool) -> None:
        """A member took so long over a sequence's draft; see Standing."""
        self.standings[sequence.id].spend(member, seconds, free=free)

    def advance(self, sequence: Sequence) -> None:
        """The text has grown: a draft that was written on beyond that, and that the text follows so far, stays open."""
        standing = self.standings.get(sequence.id)
        draft = None if standing is None else standing.draft
        if standing is None or draft is None or not (draft.supposed and draft.goes_on):
            return self.settle(sequence)
        count = len(sequence.tokens) - draft.start
        self._score(standing, sequence, sequence.tokens[draft.start :])
        draft.shift(count)
        standing.shift(count)

    def settle(self, sequence: Sequence) -> None:
        """Score every guess up to the first position where what was voted is wrong, whether it was sent or not."""
        standing = self.standings.get(sequence.id)
        if standing is None or standing.draft is None:
            return
        draft, standing.draft = standing.draft, None
        known = sequence.tokens[draft.start : draft.start + min(draft.agreed + 1, len(standing.casts))]
        self._score(standing, sequence, known)

    def _score(self, standing: Standing, sequence: Sequence, known: list[int]) -> None:
        """known: the text from where the draft began, as far as its guesses can be judged."""
        corrections, weights, rates = self._corrections_of(sequence.target), standing.weights, standing.rates
        records = self.records.kept(sequence.target, sequence.kind)
        for casts, (kind, voted), passed, token in zip(standing.casts, standing.elected, standing.passed, known, strict=False):
            for cast in casts:
                hit = cast.token == token
                weights.record(cast.member, hit, cast.estimate)
                rates.record(cast.member, hit)
                for record in records:
                    record[cast.member].record(hit)
            if len(casts) > 1:
                self.kinship(sequence.target).record([(cast.member, cast.token) for cast in casts], token)
            corrections.record(kind, voted.sure, voted.token == token)
            for each in passed:
                corrections.record(each.kind, each.sure, each.token == token)
        if standing.asked:
            _settle_accounts(self.economy(sequence.target), standing, known)

    def _corrections_of(self, target: str) -> Corrections:
        if target not in self._corrections:
            self._corrections[target] = Corrections()
        return self._corrections[target]


def _kind(casts: list[Cast], voted: Voted) -> Hashable:
    """Who was for it, who spoke for another token, and how sure the vote is."""
    if len(casts) == 1:
        return 1 << casts[0].member, 0, min(_CLASSES - 1, int(voted.sure * _CLASSES))
    supporters = sum(1 << cast.member for cast in voted.supporters)
    spoke = sum(1 << cast.member for cast in casts)
    return supporters, spoke & ~supporters, min(_CLASSES - 1, int(voted.sure * _CLASSES))


def _passed_over(casts: list[Cast], voted: Voted) -> list[Passed]:
    """What was not elected, the surest first: guesses of members that lost, and what any member says may come besides.

    How sure a member is of its guess it says without regard to others; a guess that lost is right at most where the elected one is not.
    """
    sure: dict[int, float] = {}
    for cast in casts:
        for token, probability in ((cast.token, cast.estimate), *cast.others):
            sure[token] = max(sure.get(token, 0.0), min(probability, 1 - voted.sure))
    sure.pop(voted.token, None)
    spoke, found = sum(1 << cast.member for cast in casts), []
    for token in sorted(sure, key=lambda token: -sure[token])[:_MOST_PASSED]:
        guessed = tuple(cast.member for cast in casts if cast.token == token)
        named = guessed or tuple(cast.member for cast in casts if any(token == each for each, _ in cast.others))
        kind = bool(guessed) * 1, sum(1 << member for member in named), spoke, min(_CLASSES - 1, int(sure[token] * _CLASSES))
        found.append(Passed(token, sure[token], named, kind))
    return found


def _settle_accounts(economy: Economy, standing: Standing, known: list[int]) -> None:
    """What came of asking: what it changed, and what came true behind it, less what those took who had to be asked for that. Sent or not:
    whether a token is worth its place depends on the company, and what it costs to check is charged where somebody may be asked."""
    judged = [asked for asked in standing.asked if asked.place < len(known)]
    right = [_agreed(asked.after, known[asked.place :]) for asked in judged]
    won = [asked.won(known[asked.place :]) for asked in judged]
    paid = {asked.place: economy.price_in_tokens(asked.member) for asked, tokens in zip(judged, won, strict=True) if tokens > 0}
    written = standing.elected[: len(standing.votes)]
    agreed = _agreed([voted.token for _, voted in written], known)
    for asked, after, tokens in zip(judged, right, won, strict=True):
        economy.winnings[asked.member].learn(asked.kind, tokens)
        if after == len(asked.after):
            behind = sum(max(0.0, 1 - paid.get(place, 0.0)) for place in range(asked.place + after, agreed))
            economy.winnings[asked.member].follow(asked.kind, behind)


def _agreed(path: Seq[int], known: Seq[int]) -> int:
    count = 0
    for mine, came in zip(path, known, strict=False):
        if mine != came:
            break
        count += 1
    return count
