"""One completion in the making: its sequence, its text, its statistics, and whom to tell.

Decides when a completion ends. Knows nothing of other sequences, scheduling or models.

    generation.commit(verdict)  ->  the tokens committed and their text
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from covey.engine.statistics import Statistics
from covey.engine.text import OutputText
from covey.types import FinishReason, Round, Sequence, TokenLogprob, Verdict


@dataclass(frozen=True)
class Event:
    """News of one completion: the text that may be shown since the last event, and the round that brought it.

    The round is None for a completion that ended outside of a round (aborted, or failed). finish_reason is set in the
    last event alone, and of that moment: the generation goes on changing while events wait to be read.
    """

    generation: Generation
    text: str
    token_ids: tuple[int, ...]
    round: Round | None
    finish_reason: FinishReason | None


@dataclass(eq=False)
class Generation:
    """The engine's record of a completion."""

    sequence: Sequence
    text: OutputText
    listener: Callable[[Event], None]
    statistics: Statistics = field(default_factory=Statistics)
    logprobs: list[TokenLogprob] | None = None
    error: str | None = None
    arrived: float = field(default_factory=time.perf_counter)

    def commit(self, verdict: Verdict) -> tuple[int, ...]:
        """Commit the verdict's tokens up to the first that ends the completion; returns those committed."""
        params, sequence = self.sequence.params, self.sequence
        for count, token in enumerate(verdict.tokens, 1):
            sequence.commit([token])
            if verdict.logprobs is not None and self.logprobs is not None:
                self.logprobs.append(verdict.logprobs[count - 1])
            stop_counts = sequence.num_output >= params.min_tokens
            if token in sequence.end_ids:
                sequence.finish_reason = "stop"
                self._blame()
            else:
                self.text.push(token, stop_counts)
                if self.text.stopped:
                    sequence.finish_reason = "stop"
                elif sequence.num_output >= params.max_tokens:
                    sequence.finish_reason = "length"
            if sequence.finished:
                self.text.finish(stop_counts)
                return verdict.tokens[:count]
        return verdict.tokens

    def _blame(self) -> None:
        """An end that only came because the grammar led nowhere is an error, and no answer."""
        constraint = self.sequence.constraint
        self.error = None if constraint is None else constraint.failure(self.sequence.output[:-1])
        if self.error is not None:
            self.sequence.finish_reason = "error"

    def record(self, happened: Round) -> None:
        """Count a round, and keep the time."""
        self.statistics.add(happened)
        self.statistics.seconds = time.perf_counter() - self.arrived
        if happened.tokens and self.statistics.first_token_seconds is None:
            self.statistics.first_token_seconds = self.statistics.seconds

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        """End from outside: an abort or an error."""
        self.sequence.finish_reason = reason
        self.error = error
        self.statistics.seconds = time.perf_counter() - self.arrived
        self.text.finish()
