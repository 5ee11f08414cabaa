"""Whether members of a collective are worth asking: what their guesses cost, and what they have brought lately.

The cheapest member is always asked. Dearer ones are asked where the tokens that they may win (`winnings.py`), times the time that a
token is worth, are more than their time. What is asked at once costs a pass, whoever takes part, and something for each guess (`fare.py`):
it is asked for those who bring more than they add, and where together they bring more than the pass. A token that is sent only because
somebody was asked has to be checked, too, which is not free. A member may win what it is expected to, and as much more as is easily put
down to bad luck: the less it was tried, the more that is. For who is thought to be no good is not asked, and would never be found out to
be better. What does not pay even so is asked now and then all the same, as far as a hundredth of the time goes, so that it returns when it
pays again; a fourth of that where it has been tried often, and half of either where it would not pay if it were as good as what was seen
allows at all. What is asked for may be a guess or a whole draft, as long as it is always the same.
Knows nothing of drafters or votes; times come from outside.

    economy.spent((1,), seconds=0.002, guesses=1, sequences=1); economy.observe(happened)
    economy.chosen([Prospect(1, kind_of(0.3), alive=0.8)])                                     # [True] where it pays
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from covey.control.probes import Savings
from covey.drafters.arrears import Arrears
from covey.drafters.fare import Fare
from covey.drafters.winnings import Winnings, certainty
from covey.types import Round

_PROBE_EVERY, _PROBE_FIRST = 48, 6  # the less is known, the sooner
_BAD_LUCK, _AT_BEST = 1.0, 2.0  # standard deviations by which what was won may have fallen short
_WELL_KNOWN, _CALM = 64.0, 4.0  # trials from which on one more tells little; by how much fewer are then made
_HOPELESS = 2.0  # by how much fewer where it would hardly pay at its best
_MEMORY = 256.0


class Prospect(NamedTuple):
    """A member that may be asked about one draft.

    kind: how sure the others are (`winnings.kind_of`); alive: the probability that the draft is right so far; passes: how often its
    model runs for one guess, along a draft that it did not follow; unread: tokens of the text that it has to read first.
    """

    member: int
    kind: int
    alive: float
    passes: int = 1
    unread: int = 0


class Economy:
    """The books of one collective with one target. checking: what it costs the target to check a drafted token, in tokens."""

    def __init__(self, members: int, checking: float = 0.0) -> None:
        self.checking = checking
        self.fares: list[Fare | None] = [None] * members  # one for all who are asked at once
        self.arrears = [Arrears() for _ in range(members)]
        self.winnings = [Winnings() for _ in range(members)]
        self._passed_over: Counter[tuple[int, int]] = Counter()
        self._savings = Savings()
        self._seconds = self._tokens = 0.0

    @property
    def token_seconds(self) -> float | None:
        """What one more accepted token saves: the target's time for a token, lately; None before the first round."""
        return self._seconds / self._tokens if self._tokens else None

    def observe(self, happened: Round) -> None:
        """A round's share of the target's time, and the tokens that it brought. What others read of their prompts in the same pass is
        theirs: it takes as long, however many tokens are won."""
        if happened.tokens and not happened.prefilled:
            keep = 1 - 1 / _MEMORY
            seconds = (happened.step_verify_seconds + happened.step_other_seconds) * happened.fed / max(happened.fed, happened.step_tokens)
            self._savings.add(seconds)
            self._seconds = self._seconds * keep + seconds
            self._tokens = self._tokens * keep + len(happened.tokens)

    def spent(self, members: Sequence[int], seconds: float, *, guesses: int, sequences: int) -> None:
        """So many guesses of some of these members, who are asked at once, took so long for all of so many sequences."""
        if not guesses:
            return
        fare = self.fares[members[0]]
        if fare is None:
            fare = Fare()
            for member in members:
                self.fares[member] = fare
        fare.record(guesses, sequences, seconds)
        for member in members:
            self.arrears[member].guessed(guesses / len(members))

    def caught_up(self, unread: dict[int, int], seconds: float, guesses: int) -> None:
        """Guesses of members, some of whom had so many tokens to read first, took so long together. Says nothing where it is not known what
        guesses alone cost."""
        total = sum(unread.values())
        for member, tokens in unread.items():
            if (fare := self.fares[member]) is not None:
                self.arrears[member].read(tokens, (seconds - fare.of(guesses)) * tokens / total)

    def cost(self, member: int) -> float | None:
        """The seconds of a guess, lately, with its share of the pass; None: not known yet."""
        fare = self.fares[member]
        return None if fare is None else max(1e-7, fare.alone)

    def order(self) -> list[int]:
        """Members, the cheapest first; those that are not measured yet come before, in their own order."""
        costs = [self.cost(member) for member in range(len(self.fares))]
        return sorted(range(len(costs)), key=lambda m: (costs[m] is not None, costs[m] or 0.0, m))

    def price_in_tokens(self, member: int) -> float:
        """The tokens that the target would have given in the time of one guess; 0 where that is not known yet."""
        worth = self.token_seconds
        return (self.cost(member) or 0.0) / worth if worth else 0.0

    def adds(self, prospect: Prospect) -> float:
        """The seconds that a prospect adds to a pass that is made anyway; its member's cost is known."""
        fare = self._fare(prospect.member)
        followed = (prospect.passes - 1) * fare.of(1) if prospect.passes > 1 else 0.0
        return fare.beside + followed + self.arrears[prospect.member].price(prospect.unread)

    def _settled(self, member: int) -> bool:
        fare = self.fares[member]
        return fare is not None and fare.settled

    def _fare(self, member: int) -> Fare:
        fare = self.fares[member]
        assert fare is not None, f"what member {member} costs is not known"
        return fare

    def considers(self, member: int, kind: int, alive: float, alone: bool = False) -> bool:
        """Whether a member may be asked about a draft, to be asked before `chosen`, which needs to know more: the pass aside, unless it has
        to be paid by this one alone, it may win more than a guess costs, or it was passed over often enough to be tried."""
        worth, fare, place = self.token_seconds, self.fares[member], (member, kind)
        self._passed_over[place] += 1
        if worth is None or fare is None or not fare.settled:
            return True
        least = fare.of(1) if alone else fare.beside
        if self._brings(member, kind, alive, _BAD_LUCK) * worth > least:
            return True
        return self._due(place) and self._savings.seconds >= least * self._calm(place)

    def chosen(self, prospects: Sequence[Prospect], paid: bool = False) -> list[bool]:
        """Which of those to ask who would be asked at once, all of whom are considered. paid: the pass is made anyway."""
        worth = self.token_seconds
        if not prospects or worth is None or not all(self._settled(each.member) for each in prospects):
            return [True] * len(prospects)
        once = 0.0 if paid else self._fare(prospects[0].member).once
        surplus = [self._brings(each.member, each.kind, each.alive, _BAD_LUCK) * worth - self.adds(each) for each in prospects]
        pays = sum(each for each in surplus if each > 0) > once
        tried = [not (pays and left > 0) and self._tries(each, once, worth) for each, left in zip(prospects, surplus, strict=True)]
        asked = [trial or (left > 0 and (pays or any(tried))) for trial, left in zip(tried, surplus, strict=True)]
        for each, now in zip(prospects, asked, strict=True):
            if now:
                self._passed_over[each.member, each.kind] = 0
        return asked

    def _brings(self, member: int, kind: int, alive: float, deviations: float) -> float:
        """The tokens that asking wins, less what it costs to check the drafted token, where that is not worth being sent without asking."""
        without = alive * certainty(kind)
        asked = without + alive * self.winnings[member].gain(kind, deviations)
        return max(0.0, asked - self.checking) - max(0.0, without - self.checking)

    def _tries(self, prospect: Prospect, once: float, worth: float) -> bool:
        """Whether to ask one that does not pay."""
        place, price = (prospect.member, prospect.kind), once + self.adds(prospect)
        hopeless = self._brings(prospect.member, prospect.kind, prospect.alive, _AT_BEST) * worth <= price
        return self._due(place) and self._savings.pay(price * self._calm(place) * (_HOPELESS if hopeless else 1.0))

    def _due(self, place: tuple[int, int]) -> bool:
        """Whether a member was passed over often enough, where the others were so sure, to be tried."""
        member, kind = place
        return self._passed_over[place] >= min(_PROBE_EVERY, _PROBE_FIRST * (1 + self.winnings[member].trials(kind)))

    def _calm(self, place: tuple[int, int]) -> float:
        """By how much fewer trials are made than the time allows, where much is known."""
        member, kind = place
        return 1 + (_CALM - 1) * min(1.0, self.winnings[member].trials(kind) / _WELL_KNOWN)
