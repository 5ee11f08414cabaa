"""Runs a nested draft stage by stage over a row-addressed KV cache: a stage is the layers between two exits.

A stage takes token ids (the first; with the target's gift where the draft reads one) or the hidden states that the stage
before left, for any rows and positions, so that deeper layers can be run later, or never. Knows neither requests nor
thresholds nor sampling.

    runner = ExitRunner(draft); runner.allocate(num_blocks=64)
    hidden = runner.run(0, [Feed(runner.rows[7], 0, [1, 2, 3], wanted=0)])      # [3, H]
    logits = runner.logits(hidden[-1:])                                          # [1, V]
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from covey.model import linear
from covey.model.attention import AttentionLayers
from covey.model.nested import NestedDraft
from covey.model.runner import Feed, place
from covey.rows import BLOCK_SIZE, Row, RowPool


class ExitRunner:
    """A nested draft, loaded for covey's attention, with its KV cache. One thread at a time."""

    def __init__(self, draft: NestedDraft) -> None:
        self.draft = draft
        weight = draft.head.weight
        self.device, self.dtype, self.hidden_size = weight.device, weight.dtype, weight.shape[1]
        self.vocab_size = draft.config.vocab_size
        self.rows = RowPool(0)
        self.closed = False
        packed = linear.can_pack(self.dtype, self.device)
        self._min_tokens = linear.MIN_TOKENS if packed else 1
        with torch.inference_mode():
            with linear.Inputs(draft) as inputs:
                self.layers = AttentionLayers(draft.decoder)
            if packed:
                linear.pack_linears(draft, inputs.shared())
        depths = [0, *draft.config.exits]
        self._stages = [_stage(draft.decoder, first, last) for first, last in pairwise(depths)]

    @property
    def num_stages(self) -> int:
        return len(self._stages)

    @property
    def wants_gift(self) -> bool:
        return self.draft.fuse is not None

    @property
    def bytes_per_token(self) -> int:
        """The cache of all layers, and a hidden state before each stage but one that reads tokens alone, for what is still to be read."""
        waiting = self.num_stages - 1 + self.wants_gift
        return (self.layers.elements_per_token + waiting * self.hidden_size) * self.dtype.itemsize

    def allocate(self, num_blocks: int) -> None:
        """Take the cache: num_blocks blocks for rows, and one more that the padding of a pass writes to."""
        self.rows = RowPool(num_blocks)
        with torch.inference_mode():
            self.layers.allocate((num_blocks + 1) * BLOCK_SIZE, self.dtype)

    def inherit(self, row: Row, of: Row, length: int, room: int) -> bool:
        """Let a new row have the first positions of another, in all layers: see RowPool.inherit."""
        return self.rows.inherit(row, of, length, room, self.layers.copy)

    def run(self, stage: int, feeds: list[Feed], hidden: Tensor | None = None) -> Tensor:
        """One stage over all feeds: what it leaves at their positions, [N, H] in the order of feeds.

        hidden: [N, H], what the stage before left at these positions; for the first stage, which reads the tokens, the gift
        that belongs to them, or None where the draft reads none.
        """
        placed = place(self.rows, feeds, self._min_tokens, self.device)
        with torch.inference_mode():
            given = None if hidden is None else nn.functional.pad(hidden, (0, 0, 0, placed.padding))
            if stage == 0:
                ids = [token for feed in feeds for token in feed.tokens] + [0] * placed.padding
                given = self.draft.embed(torch.tensor(ids, device=self.device), given)
            assert given is not None
            self.layers.begin(placed.current)
            out = self._stages[stage](inputs_embeds=given[None], position_ids=placed.positions[None], use_cache=False)
        left: Tensor = out.last_hidden_state[0]
        return left[: len(left) - placed.padding]

    def gift(self, hidden: Tensor) -> Tensor:
        """What an exit's hidden state stands for as a gift where the target's is not known yet: [M, H] -> [M, H]."""
        with torch.inference_mode():
            normed: Tensor = self.draft.norm(hidden)
            return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """What an exit says, over the whole vocabulary: [M, H] -> [M, V], -inf for tokens that the draft does not know."""
        missing = max(0, self._min_tokens - len(hidden))
        with torch.inference_mode():
            known = self.draft.head(self.draft.norm(nn.functional.pad(hidden, (0, 0, 0, missing))))[: len(hidden)]
            every = known.new_full((len(hidden), self.vocab_size), float("-inf"))
            return every.index_copy_(1, self.draft.tokens, known)

    def close(self) -> None:
        """Give back the cache and the weights."""
        if not self.closed:
            self.closed = True
            self.layers.close()
            linear.release_linears(self.draft)
            del self.draft, self.layers, self._stages


def _stage(decoder: nn.Module, first: int, last: int) -> Any:
    """A decoder of layers first + 1 .. last that shares all else: transformers' own code runs whatever layers it holds."""
    stage: Any = copy.copy(decoder)
    stage._modules = dict(decoder._modules)
    stage.layers = nn.ModuleList(list(decoder.layers)[first:last])  # type: ignore[arg-type]
    return stage
