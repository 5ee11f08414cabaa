"""What becomes of rows when their sequences end, and what new sequences find in them: `ColdRows` keeps nothing, `WarmRows` all it can.

A row is kept warm while nobody else wants its place (`RowPool.rest`), and serves sequences of its own scope that begin with the same
tokens: the next turn of a conversation, a system prompt that several share, further completions of one prompt. Running rows serve
likewise. Knows tokens and the accounting of rows; knows nothing of models or of what drafters keep.

    rows = WarmRows(pipeline); rows.begin(sequence, running); ...; rows.retire(sequence)
"""

from __future__ import annotations

from collections.abc import Iterable

from covey.pipeline import Pipeline
from covey.rows import BLOCK_SIZE
from covey.types import Sequence

LEAST = BLOCK_SIZE  # positions in common that are worth taking over
WORTH_WAITING = 16  # positions more that another one will soon have read


class ColdRows:
    """Rows that end with their sequences: every prompt is read."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def begin(self, sequence: Sequence, running: list[Sequence]) -> int:
        """Give a sequence a row; returns how many positions were read already, for another one."""
        sequence.shown = 0
        self.pipeline.start(sequence)
        return 0

    def awaits(self, sequence: Sequence, running: list[Sequence]) -> bool:
        """Whether it is better to begin a little later, when another one has read what both have in common."""
        return False

    def retire(self, sequence: Sequence) -> None:
        """A sequence has ended, or was preempted."""
        self.pipeline.stop(sequence)

    def sweep(self) -> None:
        """Forget sequences whose rows had to give way."""

    def clear(self) -> None:
        """Keep nothing any longer."""


class WarmRows(ColdRows):
    """Rows that are kept as long as there is room."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self._kept: dict[int, Sequence] = {}  # started, not stopped, not running

    def begin(self, sequence: Sequence, running: list[Sequence]) -> int:
        if self._kept.pop(sequence.id, None) is not None:
            return 0  # preempted, and its own row is still there
        # The latest first: it is the likeliest to be the last turn of the same conversation.
        of, length = self._longest(sequence, [*reversed(self._kept.values()), *running])
        super().begin(sequence, running)
        if of is None or not self.pipeline.inherit(sequence, of, length):
            return 0
        sequence.shown = min(of.shown, length)
        return length

    def awaits(self, sequence: Sequence, running: list[Sequence]) -> bool:
        if sequence.id in self._kept:
            return False
        ahead = [other for other in running if other.scope == sequence.scope and self._held(other) < len(other.tokens) - 1]
        if not ahead:
            return False
        _, now = self._longest(sequence, [*self._kept.values(), *running])
        most = len(sequence.tokens) - 1
        coming = ((common(sequence.tokens, other.tokens, min(most, len(other.tokens))), self._held(other)) for other in ahead)
        return any(length >= LEAST and length - now >= WORTH_WAITING and held < length for length, held in coming)

    def retire(self, sequence: Sequence) -> None:
        """What a failed pass may have left is not trusted."""
        length = self._held(sequence)
        if sequence.finish_reason == "error" or length < LEAST:
            super().retire(sequence)
            return
        self.pipeline.rest(sequence, length)
        self._kept[sequence.id] = sequence

    def sweep(self) -> None:
        for sequence in list(self._kept.values()):
            if self._held(sequence) < LEAST:
                super().retire(self._kept.pop(sequence.id))

    def clear(self) -> None:
        while self._kept:
            super().retire(self._kept.popitem()[1])

    def _held(self, sequence: Sequence) -> int:
        """Positions of a started sequence that its row holds; of accepted tokens after the one that ended it nobody knows."""
        return min(self.pipeline.target.rows[sequence.id].length, len(sequence.tokens))

    def _longest(self, sequence: Sequence, others: Iterable[Sequence]) -> tuple[Sequence | None, int]:
        """Whose row holds most of a sequence's beginning, and how much: all but the last token at most, for one must be fed."""
        found, length, tokens = None, 0, sequence.tokens
        for other in others:
            most = min(self._held(other), len(tokens) - 1)
            # To have more in common than the best so far, it must have the next token in common.
            if other.scope != sequence.scope or most < LEAST or most <= length or other.tokens[length] != tokens[length]:
                continue
            shared = common(tokens, other.tokens, most)
            if shared >= LEAST and shared > length:
                found, length = other, shared
        return found, length


def common(one: list[int], other: list[int], most: int) -> int:
    """How many of their first `most` tokens two texts have in common."""
    for start in range(0, most, BLOCK_SIZE):
        stop = min(start + BLOCK_SIZE, most)
        if one[start:stop] != other[start:stop]:
            return next(at for at in range(start, stop) if one[at] != other[at])
    return most
