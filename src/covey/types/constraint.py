"""What a grammar comes to for one sequence, as far as everybody needs to know it. Knows nothing of how grammars are compiled.

constraint.permitted(sequence.output, draft.tokens)
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Protocol


class Constraint(Protocol):
    """What a sequence's output may go on with: a function of the output's tokens alone, whoever asks and in whatever order."""

    def allowed(self, output: Seq[int]) -> bytes | None:
        """A bit for each token id that may follow this output, the lowest id in the lowest bit of the first byte, ids beyond the last
        byte may not; None after an output that is not itself allowed, or has ended."""
        ...

    def permitted(self, output: Seq[int], tokens: Seq[int]) -> int:
        """How many of these tokens may follow, one after another."""
        ...

    def failure(self, output: Seq[int]) -> str | None:
        """Why nothing but the end can follow this output, though it is not complete; None where all is well."""
        ...
