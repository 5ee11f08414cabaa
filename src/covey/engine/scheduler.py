"""Who takes part in the next step, and with how many tokens: admission, chunked prefill, preemption.

Knows sequences and the accounting of rows; knows nothing of models, drafts' contents or text, nor of what is kept of those that ended.

    works = scheduler.schedule()
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from covey.engine.generation import Generation
from covey.engine.warm import ColdRows
from covey.pipeline import Pipeline
from covey.rows import BLOCK_SIZE, READ_AT_ONCE
from covey.types import Draft, Work


class Scheduler:
    """First come, first served. A step holds every running sequence that the pipeline does not hold, and at most `prefill_chunk` prompt
    tokens.

    A prompt that is not read to its end is read to a multiple of READ_AT_ONCE positions (of `prefill_chunk`, where that is less). So it is
    cut at the same places whatever company it is read in, and what a matrix library makes of it does not depend on that.
    """

    def __init__(self, pipeline: Pipeline, max_num_seqs: int, prefill_chunk: int, ended: ColdRows) -> None:
        self.pipeline, self.ended = pipeline, ended
        self.max_num_seqs, self.prefill_chunk = max_num_seqs, prefill_chunk
        self.waiting: deque[Generation] = deque()
        self.running: list[Generation] = []  # oldest first
        self.num_preempted = 0
        self._cached: dict[int, int] = {}  # by sequence: positions that had been read before, until its first work tells

    def add(self, generation: Generation) -> None:
        self.waiting.append(generation)

    def schedule(self) -> list[Work]:
        """Works without drafts for the next step, room for their committed tokens reserved."""
        self._admit()
        works: list[Work] = []
        budget = self.prefill_chunk
        for generation in list(self.running):
            sequence = generation.sequence
            if generation not in self.running or sequence.id in self.pipeline.held:
                continue  # preempted by an older one just now; or its draft is under way
            start = self.pipeline.target.rows[sequence.id].length
            missing = len(sequence.tokens) - start
            count = missing if missing == 1 else self._to_read(start, missing, budget)
            if count == 0 or not self._make_room(generation, start + count):
                continue
            budget -= count if missing > 1 else 0
            works.append(Work(sequence, start, count, Draft.empty(sequence), self._cached.pop(sequence.id, 0)))
        return works

    def _to_read(self, start: int, missing: int, budget: int) -> int:
        """How many of the missing tokens of a prompt, read so far, are read next."""
        if missing <= budget:
            return missing
        at_once = min(READ_AT_ONCE, self.prefill_chunk)
        return max(0, (start + budget) // at_once * at_once - start)

    def room_for_draft(self, work: Work, length: int) -> int:
        """The draft length, at most `length`, that memory has room for. A draft never costs another its row."""
        rows = self.pipeline.target.rows
        row, end = rows[work.sequence.id], work.start + work.count
        if length > 0 and not rows.reserve(row, end + length):
            length = min(length, len(row.blocks) * BLOCK_SIZE - end)
        return length

    def remove(self, generation: Generation) -> bool:
        """Take a generation out wherever it is; its row is not its own any more. False if it is not here."""
        self._cached.pop(generation.sequence.id, None)
        if generation in self.running:
            self.running.remove(generation)
            self.ended.retire(generation.sequence)
            return True
        if generation in self.waiting:
            self.waiting.remove(generation)
            return True
        return False

    def _admit(self) -> None:
        """Start waiting sequences while there are rows, and blocks for all their tokens and one for each other.

        One that begins like another which is still being read waits until it need not be read twice, and lets others pass.
        """
        rows = self.pipeline.target.rows
        self.ended.sweep()
        for generation in list(islice(self.waiting, 2 * self.max_num_seqs)):  # enough to fill all rows with, and soon looked through
            sequence, running = generation.sequence, [each.sequence for each in self.running]
            if len(running) >= self.max_num_seqs or rows.num_available < len(sequence.tokens) // BLOCK_SIZE + 1 + len(running):
                return
            if self.ended.awaits(sequence, running):
                continue
            self.waiting.remove(generation)
            cached = self.ended.begin(sequence, running)
            if not generation.statistics.num_prefill_rounds + generation.statistics.num_rounds:  # else it has been here before
                self._cached.setdefault(sequence.id, cached)
            rows.reserve(rows[sequence.id], len(sequence.tokens))
            self.running.append(generation)

    def _make_room(self, generation: Generation, length: int) -> bool:
        """Reserve, preempting the youngest while there is no room; False when it was this one's turn to go."""
        rows = self.pipeline.target.rows
        while not rows.reserve(rows[generation.sequence.id], length):
            youngest = self.running.pop()
            self.ended.retire(youngest.sequence)
            self.waiting.appendleft(youngest)
            self.num_preempted += 1
            if youngest is generation:
                return False
        return True
