"""How one token is elected of the members' guesses at a position.

Plurality().elect(draft, casts, standing).token
"""

from __future__ import annotations

from math import log
from typing import Protocol

import numpy as np

from covey import noise
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Cast, Standing, Voted
from covey.vote import Ballot, Opinion, mixture, winner


class Election(Protocol):
    """Chooses the next token of a draft. wants_likely: whether it reads which tokens members find how likely."""

    wants_likely: bool

    def elect(self, draft: Growing, casts: list[Cast], standing: Standing) -> Voted:
        """casts: at least one, in the order of members."""
        ...


class Plurality:
    """The token with the most weight behind it; as sure as the surest of those who are for it."""

    wants_likely = False

    def elect(self, draft: Growing, casts: list[Cast], standing: Standing) -> Voted:
        if len(casts) == 1:  # as mostly, where one member is cheap and the others are dear
            return Voted(casts[0].token, (casts[0],), casts[0].estimate)
        weights, rates = standing.weights, standing.rates
        ballots = [Ballot(c.token, weights.of(c.member, c.estimate), rates.of(c.member), c.member) for c in casts]
        elected = winner(ballots, standing.sharing)
        supporters = tuple(cast for cast in casts if cast.token == elected.token)
        return Voted(elected.token, supporters, max(cast.estimate for cast in supporters))


class Mixture:
    """The choice that the shared noise makes of the weighted mean of the members' distributions; greedy, its likeliest token.

    As the target chooses: where the mixture is the target's distribution, it is the target's token at any temperature, and it may be
    nobody's own guess. A member that does not say which tokens are how likely has its guess and its estimate. As sure as the token
    is probable in the mixture.
    """

    wants_likely = True

    def elect(self, draft: Growing, casts: list[Cast], standing: Standing) -> Voted:
        weights = standing.weights
        told = [cast.likely or ((cast.token, cast.estimate),) for cast in casts]
        company = [cast.member for cast in casts]
        heard = [weights.of(cast.member, cast.estimate) * standing.sharing(cast.member, company) for cast in casts]
        mixed = mixture([Opinion(weight, likely) for weight, likely in zip(heard, told, strict=True)])
        token = _chosen(draft, mixed)
        own = tuple(cast for cast in casts if cast.token == token)
        named = tuple(cast for cast, likely in zip(casts, told, strict=True) if any(token == each for each, _ in likely))
        return Voted(token, own or named, min(1.0, mixed[token]))


def _chosen(draft: Growing, mixed: dict[int, float]) -> int:
    """The argmax of log probability and noise; of equals the one that was named first."""
    tokens = [token for token, probability in mixed.items() if probability > 0] or list(mixed)
    if draft.sequence.params.temperature == 0 or len(tokens) == 1:
        return max(tokens, key=lambda token: mixed[token])
    drawn = noise.gumbel(draft.sequence.seed, draft.start + len(draft.tokens), np.array(tokens)).tolist()
    values = {token: log(max(mixed[token], 1e-30)) + value for token, value in zip(tokens, drawn, strict=True)}
    return max(tokens, key=lambda token: values[token])
