"""What one member of a collective had to do with a draft. Knows nothing of how votes are held.

Contribution("suffix", record=0.7, weight=2.1, asked=4, spent=0.0003)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contribution:
    """record: how often the member was right in this sequence lately, from 0 to 1. weight: what its vote counts for at that rate.
    asked: how many guesses (or whole drafts) it was asked for, 0 for one that rested. spent: the seconds that it took over them;
    ventured: those of them in which nobody had to draft, but was asked because that was expected to pay.
    """

    name: str
    record: float
    weight: float = 0.0
    asked: int = 0
    spent: float = 0.0
    ventured: float = 0.0
