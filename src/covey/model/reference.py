"""transformers' own `generate` over an unmodified model: the oracle of the exactness tests, and a peer in the benchmark.

Shares nothing with covey's forward pass, cache or sampling but the files of the weights.

    ReferenceGenerator("path/of/model", dtype="float32").greedy([1, 2, 3], max_tokens=32)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from covey.model.names import resolve
from covey.model.quiet import quiet


@dataclass(frozen=True)
class Generated:
    """outputs: the new tokens of each prompt, its end token included. passes: after each pass of the model over the batch,
    the number of new tokens per prompt so far, and the seconds since the start."""

    outputs: list[list[int]]
    passes: list[tuple[int, float]]


class _Stopwatch(StoppingCriteria):
    """Stops nothing. transformers asks after every pass, which is when we look at the clock."""

    def __init__(self, prompt_length: int) -> None:
        self.prompt_length = prompt_length
        self.began = time.perf_counter()
        self.passes: list[tuple[int, float]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        if input_ids.is_cuda:
            torch.cuda.synchronize(input_ids.device)
        self.passes.append((input_ids.shape[1] - self.prompt_length, time.perf_counter() - self.began))
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)  # [B]


class ReferenceGenerator:
    """A plain transformers model with its own attention.

    path: whatever names a target (see names.resolve). end_ids: the end tokens of the model's generation config. The rest of that
    config (penalties, temperatures) is dropped: what is generated follows from the arguments alone.
    """

    def __init__(self, path: str | Path, dtype: str | torch.dtype = "float32", device: str = "cpu") -> None:
        kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        folder = str(resolve(path))
        with quiet():
            # Gemma 2 caps its scores, which the fused kernels cannot: transformers has only its plain attention for it.
            attention = "eager" if AutoConfig.from_pretrained(folder).model_type == "gemma2" else "sdpa"
            loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=kind, attn_implementation=attention)
        self.model = loaded.eval().to(device)
        self.vocab_size: int = self.model.get_input_embeddings().weight.shape[0]
        ends = self.model.generation_config.eos_token_id
        self.end_ids = frozenset([ends] if isinstance(ends, int) else ends or [])
        self.model.generation_config = GenerationConfig()

    def greedy(self, ids: Sequence[int], max_tokens: int, end_ids: Iterable[int] | None = None) -> list[int]:
        """The likeliest tokens after one prompt, up to an end token (kept) or max_tokens.

        end_ids: None for the model's own, an empty set to go on after them.
        """
        return self.generate([ids], max_tokens, end_ids).outputs[0]

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_tokens: int,
        end_ids: Iterable[int] | None = None,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        prompt_lookup: int | None = None,
        assistant: ReferenceGenerator | None = None,
    ) -> Generated:
        """Answer prompts as one batch, padded on the left. Temperature 0 is greedy.

        prompt_lookup: speculate with at most so many tokens from the text so far. assistant: speculate with another
        model, as transformers schedules it. Both take one prompt at a time.
        """
        longest = max(map(len, prompts))
        ends = self.end_ids if end_ids is None else frozenset(end_ids)
        ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])  # [B, T]
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])  # [B, T]
        config = GenerationConfig(
            max_new_tokens=max_tokens,
            eos_token_id=sorted(ends) or None,
            pad_token_id=0,
            prompt_lookup_num_tokens=prompt_lookup,
            **_sampling(temperature),
        )
        if temperature > 0:
            torch.manual_seed(seed)
        stopwatch = _Stopwatch(longest)
        with torch.inference_mode(), quiet():
            out = self.model.generate(
                ids.to(self.model.device),
                attention_mask=mask.to(self.model.device),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([stopwatch]),
                assistant_model=assistant and assistant.model,
            )
        return Generated([_until_end(row, ends) for row in out[:, longest:].tolist()], stopwatch.passes)


def _sampling(temperature: float) -> dict[str, Any]:
    # transformers' own default of top_k is 50.
    return {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {"do_sample": False}


def _until_end(tokens: list[int], ends: frozenset[int]) -> list[int]:
    """What comes after an end token is padding."""
    for i, token in enumerate(tokens):
        if token in ends:
            return tokens[: i + 1]
    return tokens
