"""Whether a member of a collective is worth asking: what its guesses cost, and what they have brought lately.

The cheapest member is always asked. A dearer one is asked where the tokens that it is expected to win (`winnings.py`), times the time
that a token is worth, are more than its time; of what has hardly been tried the best is expected that what was seen allows. What does
not pay is asked now and then all the same, as far as a hundredth of the time goes, so that it returns when it pays again; a fourth of
that where it has been tried often, and half of either where it would not pay if it were as good as what was seen allows. What is asked
for may be a guess or a whole draft, as long as it is always the same. Members that are asked at once share what that costs: the first
pays for the pass, the others for what they add (`fare.py`). Knows nothing of drafters or votes; times come from outside.

    economy.spent(1, seconds=0.002, guesses=1); economy.observe(happened); economy.pays(1, kind_of(0.3), alive=0.8)
"""

from __future__ import annotations

from collections import Counter

from covey.control.probes import Savings
from covey.drafters.arrears import Arrears
from covey.drafters.fare import Fare
from covey.drafters.winnings import Winnings
from covey.types import Round

_PROBE_EVERY, _PROBE_FIRST = 48, 6  # the less is known, the sooner
_FEW = 12.0  # trials before which a member is hoped for
_WELL_KNOWN, _CALM = 64.0, 4.0  # trials from which on one more tells little; by how much fewer are then made
_HOPELESS = 2.0  # by how much fewer where it would hardly pay at its best
_MEMORY = 256.0
_PACE = 1 / 16
_FIRST = 8


class Economy:
    """The books of one collective with one target."""

    def __init__(self, members: int) -> None:
        self.cost: list[float | None] = [None] * members  # seconds a guess, lately, where nobody else is asked at once
        self.fares: dict[tuple[int, ...], Fare] = {}  # by those who are asked at once
        self._fare_of: dict[int, Fare] = {}
        self.arrears = [Arrears() for _ in range(members)]
        self.winnings = [Winnings() for _ in range(members)]
        self._trials = [0] * members
        self._passed_over: Counter[tuple[int, int]] = Counter()
        self._savings = Savings()
        self._seconds = self._tokens = 0.0

    @property
    def token_seconds(self) -> float | None:
        """What one more accepted token saves: the target's time for a token, lately; None before the first round."""
        return self._seconds / self._tokens if self._tokens else None

    def observe(self, happened: Round) -> None:
        """A round's share of the target's time, and the tokens that it brought."""
        if happened.tokens and not happened.prefilled:
            keep = 1 - 1 / _MEMORY
            seconds = (happened.step_verify_seconds + happened.step_other_seconds) / happened.step_sequences
            self._savings.add(seconds)
            self._seconds = self._seconds * keep + seconds
            self._tokens = self._tokens * keep + len(happened.tokens)

    def spent(self, member: int, seconds: float, guesses: int) -> None:
        """A member took so long for so many guesses; passes that it needed to follow a draft count as guesses.

        The cost follows the median: the first guess in a sequence has a whole prompt to read, and is not what the next one costs.
        """
        if guesses:
            self.arrears[member].guessed(guesses)
            known, each = self.cost[member], max(1e-7, seconds / guesses)
            # A first cost may hold a prompt: what follows and is less is believed at once.
            self._trials[member] += 1
            if known is None or (self._trials[member] <= _FIRST and each < known):
                self.cost[member] = each
            else:
                self.cost[member] = known * (1 + _PACE if each > known else 1 - _PACE)

    def caught_up(self, unread: dict[int, int], seconds: float, guesses: int) -> None:
        """Guesses of members, some of whom had so many tokens to read first, took so long together. Says nothing where it is not known what
        guesses alone cost."""
        total = sum(unread.values())
        for member, tokens in unread.items():
            if (cost := self.cost[member]) is not None:
                self.arrears[member].read(tokens, (seconds - cost * guesses) * tokens / total)

    def spent_together(self, members: tuple[int, ...], seconds: float, sequences: int, guesses: int) -> None:
        """So many guesses of some of these members, who are asked at once, took so long for all of so many sequences."""
        if members not in self.fares:
            fare = self.fares[members] = Fare()
            self._fare_of |= dict.fromkeys(members, fare)
        self.fares[members].record(guesses, sequences, seconds)
        for member in members:
            self.cost[member] = max(1e-7, self.fares[members].alone)
            self.arrears[member].guessed(guesses / len(members))

    def order(self) -> list[int]:
        """Members, the cheapest first; those that are not measured yet come before, in their own order."""
        return sorted(range(len(self.cost)), key=lambda m: (self.cost[m] is not None, self.cost[m] or 0.0, m))

    def price(self, member: int, passes: int = 1, company: int = 0, unread: int = 0) -> float | None:
        """The seconds that asking it adds, where so many are asked at once with it already; None: not known yet.

        passes: how often its model runs for one guess, along a draft that it did not follow; unread: tokens of the text that it has to
        read first.
        """
        cost = self.cost[member]
        if cost is None:
            return None
        arrears = self.arrears[member].price(unread)
        if not company or member not in self._fare_of:
            return cost * passes + arrears
        return cost * (passes - 1) + self._fare_of[member].beside + arrears

    def price_in_tokens(self, member: int) -> float:
        """The tokens that the target would have given in the time of one guess; 0 where that is not known yet."""
        worth = self.token_seconds
        return (self.cost[member] or 0.0) / worth if worth else 0.0

    def pays(self, member: int, kind: int, alive: float, passes: int = 1, company: int = 0, unread: int = 0) -> bool:
        """Whether to ask. alive: the probability that the draft is right so far; the rest: see price."""
        price, worth, winnings = self.price(member, passes, company, unread), self.token_seconds, self.winnings[member]
        if price is None or worth is None:
            return True
        known_of = winnings.trials(kind)
        if alive * (winnings.at_best(kind) if known_of < _FEW else winnings.gain(kind)) * worth > price:
            return True
        self._passed_over[member, kind] += 1
        if self._passed_over[member, kind] < min(_PROBE_EVERY, _PROBE_FIRST * (1 + known_of)):
            return False
        calm = 1 + (_CALM - 1) * min(1.0, known_of / _WELL_KNOWN)
        if alive * winnings.at_best(kind) * worth <= price:
            calm *= _HOPELESS
        if not self._savings.pay(price * calm):
            return False
        self._passed_over[member, kind] = 0
        return True
