"""The one rule of acceptance: a drafted token is accepted if and only if it equals the target's own choice.

Knows nothing of how the draft came about or how the target chose; temperature 0 is not a case of its own.

    verdict = accept(draft.tokens, chosen)     # chosen: the target's token after each prefix of the draft
"""

from __future__ import annotations

from collections.abc import Sequence as Seq

from covey.types import Verdict


def accept(drafted: Seq[int], chosen: Seq[int]) -> Verdict:
    """Judge a draft of k tokens by the target's k + 1 choices.

    chosen[j] is the target's token at the j-th position given that the draft before it stands. The accepted prefix
    is followed by the target's token at the next position: recovered after a mismatch, bonus after a full accept.
    """
    if len(chosen) != len(drafted) + 1:
        raise ValueError(f"chosen has {len(chosen)} tokens for a draft of {len(drafted)}: it needs one more than the draft")
    accepted = 0
    while accepted < len(drafted) and drafted[accepted] == chosen[accepted]:
        accepted += 1
    return Verdict(accepted, tuple(chosen[: accepted + 1]))
