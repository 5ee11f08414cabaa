"""The engine: schedule, plan lengths, draft, verify, commit, tell. `step` is the way of a token.

Owned by one thread at a time. Knows nothing of prompts as text, of files or of other threads.

    engine.add(generation); while engine.busy: engine.step()
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from covey.control import Controller, Cut, Load
from covey.engine.generation import Event, Generation
from covey.engine.scheduler import Scheduler
from covey.engine.warm import ColdRows
from covey.pipeline import Outcome, Pipeline, Ready
from covey.types import Draft, FinishReason, Round, Verdict, Work

log = logging.getLogger(__name__)


class Engine:
    """Runs generations to their end, many at a time."""

    def __init__(
        self, pipeline: Pipeline, controller: Controller, max_num_seqs: int, prefill_chunk: int, ended: ColdRows | None = None
    ) -> None:
        self.pipeline = pipeline
        self.controller = controller
        self.scheduler = Scheduler(pipeline, max_num_seqs, prefill_chunk, ended or ColdRows(pipeline))
        self.observers: list[Callable[[Round], None]] = []
        self.num_steps = 0
        self.draft_cap: int | None = None  # what an operator allows, see tuning.py
        self._generations: dict[int, Generation] = {}

    @property
    def busy(self) -> bool:
        return bool(self._generations)

    def add(self, generation: Generation) -> None:
        self._generations[generation.sequence.id] = generation
        self.scheduler.add(generation)

    def abort(self, request_id: str) -> None:
        """End all completions of a request; what they have so far is kept."""
        for generation in [g for g in self._generations.values() if g.sequence.request_id == request_id]:
            self._end(generation, "abort")

    def end_all(self, reason: FinishReason, error: str | None = None) -> None:
        """End everything that is waiting or running."""
        for generation in list(self._generations.values()):
            self._end(generation, reason, error)

    def step(self) -> None:
        """One round for every sequence that is scheduled and whose draft is ready."""
        began = time.perf_counter()
        works = self.scheduler.schedule()
        if not works and not self.pipeline.waiting:
            return
        ready = self.pipeline.draft(works, self._lengths(works))
        try:
            outcome = self.pipeline.verify(ready, self._trim(ready))
        except Exception as error:
            log.exception("a step failed; its requests end with an error, the others go on")
            for work in ready.works:
                self._end(self._generations[work.sequence.id], "error", f"{type(error).__name__}: {error}")
            return
        self.num_steps += 1
        parts = zip(outcome.works, outcome.proposed, outcome.verdicts, strict=True)
        committed = [self._commit(work, proposed, verdict) for work, proposed, verdict in parts]
        self._tell(self._rounds(outcome, committed, time.perf_counter() - began))

    def _lengths(self, works: list[Work]) -> list[int]:
        """Each work's draft length: what the controller plans and memory has room for; 0 while in prefill."""
        if not works:
            return []
        complete = [work for work in works if work.complete]
        for work in complete:
            work.sequence.draft_cap = self.draft_cap
        planned = dict(zip(map(id, complete), self.controller.plan([work.sequence for work in complete], _load(works)), strict=True))
        self.pipeline.heed(self.controller.floor, self.controller.checking)
        return [self.scheduler.room_for_draft(work, planned.get(id(work), 0)) for work in works]

    def _trim(self, ready: Ready) -> list[Cut]:
        """How much of each work's draft is verified, branches included no more than was planned; nothing of one in prefill."""
        works = ready.works
        complete = [work for work in works if work.complete]
        cuts = iter(self.controller.trim([work.sequence for work in complete], [work.draft for work in complete], _load(works)))
        found = [next(cuts) if work.complete else Cut(0) for work in works]
        return [replace(cut, length=min(cut.length, planned)) for cut, planned in zip(found, ready.planned, strict=True)]

    def _commit(self, work: Work, proposed: Draft, verdict: Verdict | None) -> tuple[int, ...]:
        """Commit a verdict to its sequence and tell the drafter; returns the tokens committed."""
        if verdict is None:
            return ()
        generation = self._generations[work.sequence.id]
        tokens = generation.commit(verdict)
        self.pipeline.commit(work, proposed, tokens, min(verdict.accepted, len(tokens)))
        if work.sequence.finished:
            self.scheduler.remove(generation)
        return tokens

    def _tell(self, rounds: list[Round]) -> None:
        """Pass the Rounds of a step to the controller, the drafter, the statistics, the observers and the listeners."""
        self.controller.observe(rounds)
        for happened in rounds:
            self.pipeline.observe(happened)
            generation = self._generations[happened.sequence_id]
            generation.record(happened)
            for observer in self.observers:
                observer(happened)
            self._publish(generation, happened.tokens, happened)

    def _rounds(self, outcome: Outcome, committed: list[tuple[int, ...]], seconds: float) -> list[Round]:
        """What happened in this step, to every sequence. seconds: what it took from beginning to end."""
        rounds, ready = [], outcome.ready
        parts = zip(outcome.works, outcome.proposed, outcome.cuts, outcome.verdicts, ready.planned, committed, strict=True)
        for work, proposed, cut, verdict, length, tokens in parts:
            sequence = work.sequence
            made = Round(
                step=self.num_steps,
                sequence_id=sequence.id,
                request_id=sequence.request_id,
                index=sequence.index,
                start=work.start + work.count,
                planned=length,
                drafted=work.draft.tokens,
                survival=proposed.survival,
                source=proposed.source,
                accepted=min(verdict.accepted, len(tokens)) if verdict else 0,
                tokens=tokens,
                prefilled=work.count - 1 if verdict else work.count,
                finish_reason=sequence.finish_reason,
                step_sequences=len(outcome.works),
                step_tokens=sum(w.num_tokens for w in outcome.works),
                step_draft_seconds=ready.draft_seconds,
                step_verify_seconds=outcome.verify_seconds,
                step_other_seconds=max(0.0, seconds - ready.waited - outcome.verify_seconds),
                target=sequence.target,
                votes=work.draft.votes,
                members=work.draft.members,
                proposed=proposed.tokens,
                gain=cut.gain,
                cost=cut.cost,
                reason=cut.reason,
                cached=work.cached,
                step_overlap_seconds=max(0.0, ready.draft_seconds - ready.waited),
                pipeline=ready.manner,
                pool=ready.pool,
                pool_limit=ready.pool_limit,
                step_beside_seconds=outcome.beside,
                branches=work.draft.branches,
                branched=int(verdict is not None and verdict.branch is not None and len(tokens) > verdict.accepted),
            )
            rounds.append(made)
        return rounds

    def _publish(self, generation: Generation, tokens: tuple[int, ...], happened: Round | None) -> None:
        reason = generation.sequence.finish_reason
        if reason is not None:
            del self._generations[generation.sequence.id]
            self.controller.forget(generation.sequence)
        generation.listener(Event(generation, generation.text.take(final=reason is not None), tokens, happened, reason))

    def _end(self, generation: Generation, reason: FinishReason, error: str | None = None) -> None:
        generation.end(reason, error)
        self.scheduler.remove(generation)
        self._publish(generation, (), None)


def _load(works: list[Work]) -> Load:
    """What a step feeds the target anyway."""
    return Load(sum(work.count for work in works), sum(work.count * (work.start + work.count) for work in works), len(works))
