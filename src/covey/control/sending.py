"""Which drafted tokens are sent to the target: of all drafts of a step the surest, as many as pay for being verified.

Pure. Where the market (`market.py`) goes by what drafts are expected to be like, this goes by the drafts themselves. Knows nothing of
sequences, or of what drafting cost.

    kept = worth_sending([[0.9, 0.5], [0.1]], probes=[False, False], price=40.0, seconds=pass_seconds)      # [2, 0], perhaps
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]

_LEAST = 0.02  # survival under which a token is not sent: a pass that is as long with it by all that is known is a little longer
_FIRST = 2.0  # what comes before every survival


def worth_a_thought(survival: Sequence[float]) -> Sequence[float]:
    """The tokens of a draft that may be sent, if it is no probe."""
    count = len(survival)
    while count and survival[count - 1] < _LEAST:
        count -= 1
    return survival[:count]


def worth_sending(
    survival: Sequence[Sequence[float]], probes: Sequence[bool], price: float, seconds: Callable[[Floats], Floats]
) -> list[int]:
    """How many tokens of each draft pay: every prefix of all tokens, the surest first, is evaluated.

    survival: of each draft's tokens, never rising; probes: whether a draft is one, which is sent whole. price: tokens that a second is
    worth; seconds: what a pass takes with each of these numbers of drafted tokens.
    """
    kept = [0] * len(survival)
    slots = sorted(
        (-(_FIRST if probe else value), depth, number)
        for number, (found, probe) in enumerate(zip(survival, probes, strict=True))
        for depth, value in enumerate(found)
        if value >= _LEAST or probe
    )
    if not slots:
        return kept
    gains = numpy.concatenate([[0.0], numpy.cumsum([-negative for negative, _, _ in slots])])
    best = int((gains - price * seconds(numpy.arange(len(slots) + 1.0))).argmax())
    probed = sum(len(found) for found, probe in zip(survival, probes, strict=True) if probe)
    for _, _, number in slots[: max(best, probed)]:
        kept[number] += 1
    return kept


def reason(kept: int, drafted: int, asked: bool, probe: bool) -> str:
    """Why so many of the drafted tokens are sent, in a word or two."""
    if probe:
        return "probe"
    if kept:
        return "pays"
    return "nothing drafted" if asked and not drafted else "does not pay"
