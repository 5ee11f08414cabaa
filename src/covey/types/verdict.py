"""What the target says of a draft.

Verdict(accepted=1, tokens=(5, 8))      # the first drafted token, and the target's own after it
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenLogprob:
    """The target's log probability of a token (before processing), its rank (0 is best), and the best rivals."""

    token: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the target says of a draft: how many of its tokens it accepts, and those tokens plus exactly one more."""

    accepted: int
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.tokens) != self.accepted + 1:
            raise ValueError(f"a verdict that accepts {self.accepted} tokens carries {self.accepted + 1}, not {len(self.tokens)}")
