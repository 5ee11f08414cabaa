"""The one rule of acceptance: a drafted token is accepted if and only if it equals the target's own choice.

Knows nothing of how the draft came about or how the target chose; temperature 0 is not a case of its own.

    verdict = accept(draft.tokens, chosen)     # chosen: the target's token after each prefix of the draft
"""

from __future__ import annotations

from collections.abc import Sequence as Seq

from covey.types import Branch, Verdict


def accept(drafted: Seq[int], chosen: Seq[int], branches: Seq[Branch] = ()) -> Verdict:
    """Judge a draft of k tokens by the target's k + 1 choices, and one more behind each of its branches.

    chosen[j] is the target's token at the j-th position given that the draft before it stands. The accepted prefix
    is followed by the target's token at the next position: recovered after a mismatch, bonus after a full accept.
    Where that is one of the draft's branches for this place, the target's token after it follows.
    """
    if len(chosen) != len(drafted) + 1 + len(branches):
        what = f"a draft of {len(drafted)}" + (f" with {len(branches)} branches" if branches else "")
        raise ValueError(f"chosen has {len(chosen)} tokens for {what}: it needs one more than are drafted")
    accepted = 0
    while accepted < len(drafted) and drafted[accepted] == chosen[accepted]:
        accepted += 1
    for number, branch in enumerate(branches):
        if branch.place == accepted and branch.token == chosen[accepted]:
            return Verdict(accepted, (*chosen[: accepted + 1], chosen[len(drafted) + 1 + number]), branch=number)
    return Verdict(accepted, tuple(chosen[: accepted + 1]))


def chosen_at(verdict: Verdict, drafted: int) -> list[int]:
    """Which of the target's choices a verdict's tokens are, by number as `accept` was given them, for a draft of so many tokens."""
    behind = [] if verdict.branch is None else [drafted + 1 + verdict.branch]
    return [*range(verdict.accepted + 1), *behind]
