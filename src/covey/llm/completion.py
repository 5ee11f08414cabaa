"""What is answered: a completion, or chunks of it as it grows. Knows nothing of how it came about.

print(completion.text, completion.stats.mean_accepted_length)
"""

from __future__ import annotations

from dataclasses import dataclass

from covey.engine.statistics import Statistics
from covey.types import FinishReason, Round, TokenLogprob


@dataclass(frozen=True)
class Completion:
    """The answer to one prompt. error is set, and finish_reason "error", when the engine failed on it."""

    prompt_index: int
    index: int
    request_id: str
    text: str
    token_ids: list[int]
    finish_reason: FinishReason
    logprobs: list[TokenLogprob] | None
    stats: Statistics
    error: str | None = None


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed completion. text may be empty while a character or a stop string is incomplete.

    index tells the n completions of a request apart; logprobs, where they were asked for, has one entry for each of token_ids.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None
    round: Round | None
    error: str | None = None
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] | None = None
