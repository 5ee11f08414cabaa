"""What drafts are expected to be worth before they are written: the best that a company of sequences can come to, and each one's part.

Pure. Every depth is tried, and at each every class of survival down to which tokens are sent, because the cost of a pass is a staircase.
Knows nothing of sequences, or of what becomes of a plan.

    offer = best_offer(prospect, chosen, costs.drafter, charge, plain, pass_seconds)
    profits(prospect, offer, costs.drafter, price=offer.rate)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from covey.charge import Charge
from covey.cost import DraftCost

Floats = NDArray[numpy.float64]


@dataclass(frozen=True)
class Prospect:
    """What is expected of drafts: for each sequence, depth and class of survival how many get there, and how many of those survive,
    [n, depths, classes], classes in the order of survival; and the seconds that each sequence's draft takes to begin, [n]."""

    share: Floats
    surviving: Floats
    entry: Floats


@dataclass(frozen=True)
class Offer:
    """The best that can be expected of a company that drafts.

    rate: tokens a second of the whole batch. depth: how far drafts go. slots: how many drafted tokens are sent, those of class `least` and
    above, and gain: how many of them are accepted. seconds: of the step, with what drafting adds; slot: those of one of the slots.
    drafting: seconds that drafting takes; charged: what of one more second of it is charged.
    """

    rate: float
    depth: int
    slots: float
    gain: float
    seconds: float
    slot: float
    least: int
    drafting: float
    charged: float


def best_offer(
    prospect: Prospect,
    chosen: NDArray[numpy.bool_],
    drafter: DraftCost,
    charge: Charge,
    plain: float,
    pass_seconds: Callable[[Floats], Floats],
) -> Offer:
    """The company drafts, and something is sent; everybody in the batch decodes a token besides.

    chosen: who is of the company, [n], at least one. charge: what drafting adds to a step. plain: seconds of a pass of the
    batch with no drafted token; pass_seconds: with so many.
    """
    share = prospect.share[chosen]
    # Tokens of one class are taken together, whose ever they are and at whatever depth; the surest class comes first.
    slots = share.sum(0)[:, ::-1].cumsum(0).cumsum(1)  # [depths, classes]
    gain = prospect.surviving[chosen].sum(0)[:, ::-1].cumsum(0).cumsum(1)
    reached = share.sum(2)  # [company, depths]
    steps = (1 - numpy.prod(1 - numpy.minimum(1.0, reached), 0)).cumsum()  # somebody gets there
    entry = drafter.per_call + float(prospect.entry[chosen].sum())
    drafting = entry + drafter.per_token * slots[:, -1] + drafter.per_step * steps  # [depths]
    passes = pass_seconds(slots)
    rate = (len(chosen) + gain) / (passes + charge.seconds(drafting[:, None], passes))
    depth, place = divmod(int(rate.argmax()), rate.shape[1])
    sent, seconds, spent = float(slots[depth, place]), float(passes[depth, place]), float(drafting[depth])
    slot = (seconds - plain) / sent if sent else 0.0
    return Offer(
        rate=float(rate[depth, place]),
        depth=depth + 1,
        slots=sent,
        gain=float(gain[depth, place]),
        seconds=seconds + float(charge.seconds(spent, seconds)),
        slot=slot,
        least=rate.shape[1] - 1 - place,
        drafting=spent,
        charged=charge.share(spent, seconds),
    )


def profits(prospect: Prospect, offer: Offer, drafter: DraftCost, price: float) -> Floats:
    """What each sequence's own draft wins under an offer, in tokens, [n]: it pays for its guesses and its slots, at so many tokens a
    second. Steps are paid by all together."""
    share = prospect.share[:, : offer.depth]
    gains: Floats = (prospect.surviving[:, : offer.depth, offer.least :] - price * offer.slot * share[:, :, offer.least :]).sum((1, 2))
    return gains - price * offer.charged * (drafter.per_token * share.sum((1, 2)) + prospect.entry)
