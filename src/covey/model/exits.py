"""Runs a nested draft stage by stage over a row-addressed KV cache: a stage is the layers between two exits.

A stage takes token ids (the first; with the target's gift where the draft reads one) or the hidden states that the stage
before left, for any rows and positions, so that deeper layers can be run later, or never. Several drafts that differ by deltas can be
run as one, each row with what its own draft adds (`stacked.py`). Knows neither requests nor thresholds nor sampling.

    runner = ExitRunner(draft); runner.allocate(num_blocks=64)
    hidden = runner.run(0, [Feed(runner.rows[7], 0, [1, 2, 3], wanted=0)])      # [3, H]
    logits = runner.logits(runner.normed(hidden[-1:]))                           # [1, V]
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from covey.model import linear
from covey.model.attention import NAME as ATTENTION
from covey.model.attention import AttentionLayers, Layer, Stored
from covey.model.deltas import Basis, read_deltas
from covey.model.nested import NestedDraft
from covey.model.runner import Feed, place
from covey.model.stacked import Seats, stack_deltas
from covey.model.straight import Straight, layers_alone
from covey.rows import BLOCK_SIZE, Row, RowPool

# Positions before the last ones from which on a pass for their keys and values takes less time than the rest of a layer.
_WORTH_A_PASS = 20


class ExitRunner:
    """A nested draft, loaded for covey's attention, with its KV cache. One thread at a time.

    seats: of a draft whose layers are stacked, whose each row of a pass is.
    """

    def __init__(self, draft: NestedDraft, seats: Seats | None = None) -> None:
        self.draft = draft
        embedding = draft.decoder.embed_tokens.weight
        self.device, self.dtype, self.hidden_size = embedding.device, embedding.dtype, draft.head.in_features
        self.seats = seats or Seats(1)
        self.vocab_size, self.known, self.tokens = draft.config.vocab_size, draft.tokens, draft.tokens.tolist()
        self.rows = RowPool(0)
        self.closed = False
        with torch.inference_mode():
            with linear.Inputs(draft) as inputs, Straight(draft.decoder) as straight:
                self._try()
            if linear.can_pack(self.dtype, self.device):
                linear.pack_linears(draft, inputs.shared(), rounded=linear.can_round(self.dtype, self.device))
            alone = straight.found
        self._stores_alone = alone and self.device.type == "cpu"  # elsewhere passes, not products, are what takes time
        stage = layers_alone if alone else _stage
        self._stages = [stage(draft.decoder, first, last) for first, last in pairwise([0, *draft.config.exits])]

    def _try(self) -> None:
        """Run every part once, over two tokens: which layers attend, and which share their input, is seen by that."""
        self.seats.take([0, 0])
        self.layers = AttentionLayers(self.draft.decoder)
        nothing = torch.zeros(2, self.hidden_size, dtype=self.dtype, device=self.device)
        self.draft.embed(torch.zeros(2, dtype=torch.long, device=self.device), nothing if self.wants_gift else None)
        self.draft.head(nothing)

    @property
    def num_stages(self) -> int:
        return len(self._stages)

    @property
    def saved_bytes(self) -> int:
        return linear.saved_bytes(self.draft)

    @property
    def wants_gift(self) -> bool:
        return self.draft.fuse is not None

    @property
    def bytes_per_token(self) -> int:
        """The cache of all layers, and a hidden state before each stage but one that reads tokens alone, for what is still to be read."""
        waiting = self.num_stages - 1 + self.wants_gift
        return (self.layers.elements_per_token + waiting * self.hidden_size) * self.dtype.itemsize

    def allocate(self, num_blocks: int) -> None:
        """Take the cache: for each seat num_blocks blocks for rows."""
        total = num_blocks * self.seats.count
        if total != self.rows.num_blocks:  # each of those who share it asks for it
            self.rows = RowPool(total)
            with torch.inference_mode():
                self.layers.allocate(total * BLOCK_SIZE, self.dtype)

    def inherit(self, row: Row, of: Row, length: int, room: int) -> bool:
        """Let a new row have the first positions of another, in all layers: see RowPool.inherit."""
        return self.rows.inherit(row, of, length, room, self.layers.copy)

    def run(self, stage: int, feeds: list[Feed], hidden: Tensor | None = None, seats: list[int] | None = None) -> Tensor:
        """One stage over all feeds: what it leaves at their positions, [N, H] in the order of feeds.

        hidden: [N, H], what the stage before left at these positions; for the first stage, which reads the tokens, the gift
        that belongs to them, or None where the draft reads none. seats: whose each feed is; None: all of the first.
        """
        return self._run(stage, feeds, hidden, seats)

    def run_for_last(self, stage: int, feeds: list[Feed], hidden: Tensor | None = None, seats: list[int] | None = None) -> Tensor:
        """The last stage, where nobody asks for what it leaves but at the last position of each feed: [feeds, H].

        On a CPU, of the positions before these its last layer only makes keys and values, in a pass of their own, where they are many.
        """
        counts = [len(feed.tokens) for feed in feeds]
        if not self._stores_alone or sum(counts) - len(feeds) < _WORTH_A_PASS:
            return torch.stack([left[-1] for left in self.run(stage, feeds, hidden, seats).split(counts)])
        before = [Feed(feed.row, feed.start, feed.tokens[:-1], 0) for feed in feeds if len(feed.tokens) > 1]
        seated = [seat for seat, count in zip(seats or [0] * len(feeds), counts, strict=True) if count > 1]
        given = None if hidden is None else hidden.split(counts)
        with contextlib.suppress(Stored):
            self._run(stage, before, None if given is None else torch.cat([each[:-1] for each in given]), seated, self.layers.layers[-1])
        ends = [Feed(feed.row, feed.start + count - 1, feed.tokens[-1:], 0) for feed, count in zip(feeds, counts, strict=True)]
        return self.run(stage, ends, None if given is None else torch.stack([each[-1] for each in given]), seats)

    def _run(self, stage: int, feeds: list[Feed], hidden: Tensor | None, seats: list[int] | None, ends_with: Layer | None = None) -> Tensor:
        """ends_with: see Pass."""
        placed = place(self.rows, feeds, 1, self.device, exact=False)
        placed.current.ends_with = ends_with
        every = zip(feeds, seats or [0] * len(feeds), strict=True)
        self.seats.take([seat for feed, seat in every for _ in feed.tokens])
        with torch.inference_mode():
            if stage == 0:
                ids = [token for feed in feeds for token in feed.tokens]
                hidden = self.draft.embed(torch.tensor(ids, device=self.device), hidden)
            assert hidden is not None
            self.layers.begin(placed.current)
            return self._stages[stage](hidden[None], placed.positions[None])[0]

    def normed(self, hidden: Tensor) -> Tensor:
        """What a stage left, as an exit reads it, and as it stands for a gift where the target's is not known yet: [M, H] -> [M, H]."""
        with torch.inference_mode():
            normed: Tensor = self.draft.norm(hidden)
            return normed

    def logits(self, normed: Tensor, seats: list[int] | None = None) -> Tensor:
        """What an exit says, over the whole vocabulary: [M, H] -> [M, V], -inf for tokens that the draft does not know."""
        with torch.inference_mode():
            known = self.known_logits(normed, seats)
            every = known.new_full((len(normed), self.vocab_size), float("-inf"))
            return every.index_copy_(1, self.known, known)

    def known_logits(self, normed: Tensor, seats: list[int] | None = None) -> Tensor:
        """What an exit says of the tokens that the draft knows, in the order of `tokens`: [M, H] -> [M, known].

        seats: whose each row is; None: all of the first.
        """
        self.seats.take(seats or [0] * len(normed))
        with torch.inference_mode():
            known: Tensor = self.draft.head(normed)
        return known

    def close(self) -> None:
        """Give back the cache and the weights."""
        if not self.closed:
            self.closed = True
            self.layers.close()
            linear.release_linears(self.draft)
            del self.draft, self.layers, self._stages


def stacked_runner(like: ExitRunner, drafts: list[tuple[Path, Basis | None]]) -> tuple[ExitRunner, list[int]]:
    """Saved drafts of one basis as one model, a seat for each; and the bytes of weights of each, the common ones with the first.

    like: a runner of one of them, whose input embedding is taken. drafts: each one's folder and, of a specialist, its basis; the others
    are the basis itself.
    """
    folder, basis = drafts[0]
    trunk = NestedDraft.beside(folder if basis is None else (folder / basis.folder).resolve(), like.draft, ATTENTION)
    deltas = [read_deltas(place) if basis is not None else {} for place, basis in drafts]
    numbers = [sum(part.numel() for both in each.values() for part in both) for each in deltas]
    numbers[0] += sum(weight.numel() for weight in trunk.parameters())
    seats = Seats(len(drafts), like.dtype, like.device)
    stack_deltas(trunk, deltas, seats)
    runner = ExitRunner(trunk, seats)
    sizes = [count * like.dtype.itemsize for count in numbers]
    return runner, [sizes[0] - runner.saved_bytes, *sizes[1:]]


Stage = Callable[[Tensor, Tensor], Tensor]  # hidden states [1, N, H] and positions [1, N] -> [1, N, H]


def _stage(decoder: nn.Module, first: int, last: int) -> Stage:
    """A decoder of layers first + 1 .. last that shares all else: transformers' own code runs whatever layers it holds."""
    part: Any = copy.copy(decoder)
    part._modules = dict(decoder._modules)
    part.layers = nn.ModuleList(list(decoder.layers)[first:last])  # type: ignore[arg-type]

    def run(hidden: Tensor, positions: Tensor) -> Tensor:
        left: Tensor = part(inputs_embeds=hidden, position_ids=positions, use_cache=False).last_hidden_state
        return left

    return run
