"""How one token is elected of the members' guesses at a position.

Plurality().elect(draft, casts, standing).token
"""

from __future__ import annotations

from typing import Protocol

from covey.drafters.guesser import Growing
from covey.drafters.ledger import Cast, Standing, Voted
from covey.vote import Ballot, winner


class Election(Protocol):
    """Chooses the next token of a draft."""

    def elect(self, draft: Growing, casts: list[Cast], standing: Standing) -> Voted:
        """casts: at least one, in the order of members."""
        ...


class Plurality:
    """The token with the most weight behind it; as sure as the surest of those who are for it."""

    def elect(self, draft: Growing, casts: list[Cast], standing: Standing) -> Voted:
        weights, rates = standing.weights, standing.rates
        elected = winner([Ballot(cast.token, weights.of(cast.member, cast.estimate), rates.of(cast.member)) for cast in casts])
        supporters = tuple(cast for cast in casts if cast.token == elected.token)
        return Voted(elected.token, supporters, max(cast.estimate for cast in supporters))
