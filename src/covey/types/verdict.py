"""What the target says of a draft.

Verdict(accepted=1, tokens=(5, 8))                 # the first drafted token, and the target's own after it
Verdict(accepted=1, tokens=(5, 8, 3), branch=0)    # which was the draft's first branch, so that one more is known
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
    """What the target says of a draft: how many of its tokens it accepts, and those tokens plus exactly one more. branch: which of the
    draft's branches that one is, where it is any; the target's token after it follows."""

    accepted: int
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None
    branch: int | None = None

    def __post_init__(self) -> None:
        carried = self.accepted + 1 + (self.branch is not None)
        if len(self.tokens) != carried:
            what = f"{self.accepted} tokens" + ("" if self.branch is None else " and a branch")
            raise ValueError(f"a verdict that accepts {what} carries {carried}, not {len(self.tokens)}")
