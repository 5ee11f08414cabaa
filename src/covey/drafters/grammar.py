"""Drafts what a request's grammar leaves no choice about: the names of fields, brackets, the end.

Costs no model pass, and is always right where it speaks; without a grammar it has nothing to say. Knows nothing of how grammars
are compiled.

    LLM("smollm2", drafters=["suffix:smollm2", "grammar"])
"""

from __future__ import annotations

from covey.drafters.guesser import Growing, Guess, Guesser


class GrammarDrafter(Guesser):
    """Guesses a token where it is the only one that may follow."""

    name = "grammar"
    serves_several = True

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        return [_forced(draft) for draft in growing]


def _forced(draft: Growing) -> Guess | None:
    constraint = draft.sequence.constraint
    allowed = None if constraint is None else constraint.allowed([*draft.sequence.output, *draft.tokens])
    if allowed is None:
        return None
    bits = int.from_bytes(allowed, "little")
    if bits.bit_count() != 1:
        return None
    token = bits.bit_length() - 1
    return Guess(token, 1.0, likely=((token, 1.0),))
