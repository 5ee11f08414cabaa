"""Plans the memory of all KV caches before any is taken: the target's and every drafter's.

Knows bytes per position and what is free; takes nothing itself.

    plan = plan_memory(config, target, drafters); print(plan)
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from covey.config import EngineConfig
from covey.errors import OutOfMemoryError
from covey.rows import BLOCK_SIZE

_GIB = 1 << 30
_SHARE_OF_FREE = 0.5


@dataclass(frozen=True)
class MemoryPlan:
    """Who keeps how much. Bytes, except max_tokens: positions that all sequences together may hold."""

    weights: dict[str, int]
    bytes_per_token: dict[str, int]
    max_tokens: int
    max_model_len: int
    max_num_seqs: int
    free: int

    @property
    def cache_bytes(self) -> int:
        return self.max_tokens * sum(self.bytes_per_token.values())

    def __str__(self) -> str:
        lines = [
            f"  {name:<32} weights {self.weights[name] / _GIB:7.2f} GiB   cache {per_token * self.max_tokens / _GIB:7.2f} GiB"
            f"   ({per_token:,} bytes a token)"
            for name, per_token in self.bytes_per_token.items()
        ]
        total = (sum(self.weights.values()) + self.cache_bytes) / _GIB
        return "\n".join(
            [
                f"memory plan: {self.max_tokens:,} tokens in the caches, "
                f"up to {self.max_num_seqs} sequences of up to {self.max_model_len:,} tokens",
                *lines,
                f"  {'in all':<32} {total:.2f} GiB; free before the caches {self.free / _GIB:.2f} GiB",
            ]
        )


def free_memory(device: str) -> int:
    """Bytes that can be had on a device now."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return int(psutil.virtual_memory().available)


def plan_memory(
    config: EngineConfig, max_model_len: int, device: str, weights: dict[str, int], bytes_per_token: dict[str, int]
) -> MemoryPlan:
    """How many tokens the caches hold: what max_num_seqs full sequences need, or less where memory is short.

    Raises OutOfMemoryError, with the numbers and the setting to change, when not even one full sequence fits.
    """
    row = (-(-max_model_len // BLOCK_SIZE) + 1) * BLOCK_SIZE  # and a block for drafts beyond the last token
    per_token = max(1, sum(bytes_per_token.values()))
    free = free_memory(device)
    budget = int(config.cache_memory * _GIB) if config.cache_memory is not None else int(free * _SHARE_OF_FREE)
    if budget > free:
        raise OutOfMemoryError(
            f"cache_memory={config.cache_memory:g}: only {free / _GIB:.2f} GiB are free on {device}; set cache_memory to less"
        )
    if budget < row * per_token:
        setting = "set cache_memory higher" if config.cache_memory is not None else "use a larger machine"
        raise OutOfMemoryError(
            f"max_model_len={max_model_len}: one sequence needs {row * per_token / _GIB:.3f} GiB of KV cache ({per_token:,} bytes a token, "
            f"drafters included) and {budget / _GIB:.3f} GiB may be used; set max_model_len to at most "
            f"{max(1, budget // per_token - 2 * BLOCK_SIZE)}, or {setting}"
        )
    tokens = min(row * config.max_num_seqs, budget // per_token // BLOCK_SIZE * BLOCK_SIZE)
    return MemoryPlan(weights, bytes_per_token, tokens, max_model_len, config.max_num_seqs, free)
