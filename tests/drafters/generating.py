"""A few prompts answered with drafters, and the rounds that it took."""

from __future__ import annotations

from typing import Any

from covey import LLM, SamplingParams
from covey.types import Drafter, Round

KIND = {"dtype": "float64", "device": "cpu"}
PROMPTS = [[5, 6, 7, 8, 5, 6, 7], [100, 3], [9] * 70, [44, 45, 46]]


def generate(target: str, drafters: list[str | Drafter], params: SamplingParams, **options: Any) -> tuple[list[list[int]], list[Round]]:
    """Three of them at a time, four tokens a draft."""
    fixed = {"num_speculative_tokens": 4, "max_num_seqs": 3, "prefill_chunk": 16, "controller": "fixed"}
    with LLM(target, drafters=drafters, **fixed, **KIND, **options) as llm:
        rounds: list[Round] = []
        llm.observe(rounds.append)
        done = llm.generate(PROMPTS, params, progress=False)
        return [c.token_ids for c in done], rounds
