"""How other systems choose a length: baselines for comparison; and a controller that only watches.

Heuristic(longest=8).plan(sequences, load)
"""

from __future__ import annotations

from collections.abc import Mapping

from covey.control.controller import Controller, Cut, Load
from covey.survival import conditionals
from covey.types import Draft, Round, Sequence

# By the most sequences that it is for: what somebody might write into vLLM's table for a small machine.
_TABLE = {2: 4, 4: 3, 8: 2, 16: 1}


class Heuristic(Controller):
    """transformers' schedule, for each sequence by itself: 2 more after a draft that was accepted whole, else 1 less, at least 1."""

    def __init__(self, longest: int, first: int = 4) -> None:
        self.longest, self._first = longest, min(first, longest)
        self._lengths: dict[int, int] = {}

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        return [min(self._lengths.get(each.id, self._first), each.max_draft_tokens) for each in sequences]

    def observe(self, rounds: list[Round]) -> None:
        for each in rounds:
            if each.drafted:
                length = self._lengths.get(each.sequence_id, self._first)
                whole = each.accepted == len(each.drafted)
                self._lengths[each.sequence_id] = min(max(1, length + (2 if whole else -1)), self.longest)

    def forget(self, sequence: Sequence) -> None:
        self._lengths.pop(sequence.id, None)


class ConfidenceThreshold(Controller):
    """A draft ends before the first token that its drafter is less sure of than this (transformers' assistant_confidence_threshold).

    What was drafted beyond is thrown away: drafters do not know of this rule.
    """

    def __init__(self, longest: int, threshold: float = 0.4) -> None:
        self.longest, self.threshold = longest, threshold

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        return [min(self.longest, sequence.max_draft_tokens) for sequence in sequences]

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        sure = [[estimate >= self.threshold for estimate in conditionals(draft.survival)] for draft in drafts]
        return [Cut(each.index(False) if False in each else len(each)) for each in sure]


class BatchTable(Controller):
    """A length by the number of sequences, written down beforehand, as in vLLM; 0 beyond the last entry."""

    def __init__(self, longest: int, table: Mapping[int, int] = _TABLE) -> None:
        self.table = sorted((sequences, min(length, longest)) for sequences, length in table.items())

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        length = next((length for most, length in self.table if len(sequences) <= most), 0)
        return [min(length, sequence.max_draft_tokens) for sequence in sequences]


class Watch(Controller):
    """Has everything drafted and nothing verified: the target writes plainly, and a trace of the Rounds holds, for every position,
    what would have been drafted there. Made for replays (`covey.replay`)."""

    floor = 0.0

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        return [min(self.longest, sequence.max_draft_tokens) for sequence in sequences]

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        return [Cut(0, reason="watching") for _ in drafts]
