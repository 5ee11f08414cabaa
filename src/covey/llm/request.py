"""One prompt on its way: the n completions that are made of it, and what is told of them.

Knows nothing of who steps the engine.

    request = Request(engine, generations); request.chunk(event); request.completions()
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from covey.engine.engine import Engine
from covey.engine.generation import Event, Generation
from covey.llm.completion import Chunk, Completion


@dataclass
class Request:
    """engine: the one that answers. generations: the n completions, at least one."""

    engine: Engine
    generations: list[Generation]
    _told: Counter[int] = field(default_factory=Counter)  # tokens that chunks had so far, by completion

    @property
    def id(self) -> str:
        return self.generations[0].sequence.request_id

    @property
    def finished(self) -> bool:
        return all(generation.sequence.finished for generation in self.generations)

    def chunk(self, event: Event) -> Chunk:
        """What an event brings. Events of one completion come in order, each once."""
        generation, tokens = event.generation, event.token_ids
        index, logprobs = generation.sequence.index, generation.logprobs
        told = self._told[index]
        self._told[index] += len(tokens)
        own = None if logprobs is None else tuple(logprobs[told : told + len(tokens)])
        return Chunk(event.text, tokens, event.finish_reason, event.round, generation.error, index, own)

    def completions(self, prompt_index: int = 0) -> list[Completion]:
        """What the completions are by now. prompt_index: the prompt's place among those that were given together."""
        return [_completion(generation, prompt_index) for generation in self.generations]


def _completion(generation: Generation, prompt_index: int) -> Completion:
    sequence = generation.sequence
    return Completion(
        prompt_index=prompt_index,
        index=sequence.index,
        request_id=sequence.request_id,
        text=generation.text.text,
        token_ids=sequence.output,
        finish_reason=sequence.finish_reason or "abort",
        logprobs=generation.logprobs,
        stats=generation.statistics,
        error=generation.error,
    )
