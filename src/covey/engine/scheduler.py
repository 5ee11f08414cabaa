"""Who takes part in the next step, and with how many tokens: admission, chunked prefill, preemption.

Knows sequences and the accounting of rows; knows nothing of models, drafts' contents or text.

    works = scheduler.schedule()
"""

from __future__ import annotations

from collections import deque

from covey.engine.generation import Generation
from covey.pipeline import Pipeline
from covey.rows import BLOCK_SIZE
from covey.types import Draft, Work


class Scheduler:
    """First come, first served. A step holds every running sequence that the pipeline does not hold, and at most `prefill_chunk` prompt
    tokens."""

    def __init__(self, pipeline: Pipeline, max_num_seqs: int, prefill_chunk: int) -> None:
        self.pipeline = pipeline
        self.max_num_seqs, self.prefill_chunk = max_num_seqs, prefill_chunk
        self.waiting: deque[Generation] = deque()
        self.running: list[Generation] = []  # oldest first
        self.num_preempted = 0

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
            count = missing if missing == 1 else min(missing, budget)
            if count == 0 or not self._make_room(generation, start + count):
                continue
            budget -= count if missing > 1 else 0
            works.append(Work(sequence, start, count, Draft.empty(sequence)))
        return works

    def room_for_draft(self, work: Work, length: int) -> int:
        """The draft length, at most `length`, that memory has room for. A draft never costs another its row."""
        rows = self.pipeline.target.rows
        row, end = rows[work.sequence.id], work.start + work.count
        if length > 0 and not rows.reserve(row, end + length):
            length = min(length, len(row.blocks) * BLOCK_SIZE - end)
        return length

    def remove(self, generation: Generation) -> bool:
        """Take a generation out wherever it is, and give back its row. False if it is not here."""
        if generation in self.running:
            self.running.remove(generation)
            self.pipeline.stop(generation.sequence)
            return True
        if generation in self.waiting:
            self.waiting.remove(generation)
            return True
        return False

    def _admit(self) -> None:
        """Start waiting sequences while there are rows, and blocks for all their tokens and one for each other."""
        rows = self.pipeline.target.rows
        while self.waiting and len(self.running) < self.max_num_seqs:
            sequence = self.waiting[0].sequence
            if rows.num_free < len(sequence.tokens) // BLOCK_SIZE + 1 + len(self.running):
                return
            generation = self.waiting.popleft()
            self.pipeline.start(sequence)
            rows.reserve(rows[sequence.id], len(sequence.tokens))
            self.running.append(generation)

    def _make_room(self, generation: Generation, length: int) -> bool:
        """Reserve, preempting the youngest while there is no room; False when it was this one's turn to go."""
        rows = self.pipeline.target.rows
        while not rows.reserve(rows[generation.sequence.id], length):
            youngest = self.running.pop()
            self.pipeline.stop(youngest.sequence)
            self.waiting.appendleft(youngest)
            self.num_preempted += 1
            if youngest is generation:
                return False
        return True
