"""Runs one causal LM over a row-addressed KV cache: several sequences, several tokens each, in one forward pass.

Target and draft models are both run by a `ModelRunner`. It knows neither requests nor drafts nor sampling: it is
given token ids with their places, and returns logits where they are wanted.

    runner = ModelRunner(load("smollm2", ...)); runner.allocate(num_blocks=64)
    logits = runner.forward([Feed(runner.rows[7], start=0, tokens=[1, 2, 3], wanted=1)])
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from covey.model import linear
from covey.model.attention import KEY_BLOCK, KEY_STRIDE, MAX_QUERIES, Aside, AttentionLayers, Pass, Span, Swap
from covey.model.load import LoadedModel
from covey.rows import BLOCK_SIZE, Row, RowPool


class Beside(NamedTuple):
    """Another token for one position of a feed. It sees what stands before that, and itself; its keys and values are kept at the slot of
    a later position, where nobody stands. alike: whether they count there as they would at its own."""

    position: int
    token: int
    kept_at: int
    alike: bool


@dataclass(frozen=True)
class Feed:
    """Tokens of one row at positions start, start + 1, ...; logits are wanted for the last `wanted` of them, and for all beside."""

    row: Row
    start: int
    tokens: list[int]
    wanted: int
    beside: tuple[Beside, ...] = ()

    @property
    def ids(self) -> list[int]:
        """All tokens in the order of queries."""
        return [*self.tokens, *(each.token for each in self.beside)]


@dataclass(frozen=True)
class Placed:
    """Where the tokens of a pass stand: positions [N], what attention needs, whose logits are wanted, and how many only fill up."""

    positions: Tensor
    current: Pass
    wanted: Tensor
    padding: int


def place(rows: RowPool, feeds: list[Feed], min_tokens: int, device: torch.device, exact: bool = True) -> Placed:
    """Lay feeds side by side. Padding goes to a slot of its own behind all rows. exact: see Pass."""
    positions: list[int] = []
    slots: list[int] = []
    wanted: list[int] = []
    spans: list[Span] = []
    for feed in feeds:
        stop = feed.start + len(feed.tokens)
        spans += _spans(rows, feed, len(positions), device)
        positions += range(feed.start, stop)
        slots += rows.slots(feed.row, feed.start, stop)
        wanted += range(len(positions) - feed.wanted, len(positions) + len(feed.beside))
        positions += [each.position for each in feed.beside]
        slots += [slot for each in feed.beside for slot in rows.slots(feed.row, each.kept_at, each.kept_at + 1)]
    padding = max(0, min_tokens - len(positions))
    positions += [0] * padding
    slots += [rows.num_slots] * padding
    return Placed(_ids(positions, device), Pass(_ids(slots, device), spans, exact), _ids(wanted or [0], device), padding)


def _spans(rows: RowPool, feed: Feed, offset: int, device: torch.device) -> list[Span]:
    """A feed's queries in pieces, each of which looks at keys to the end of the block that its last query stands in.

    What stands beside looks at those of the piece of its block, where its own keys count there like those at its position, or else at
    keys among which they take that place for a moment.
    """

    def span(at: int, count: int, position: int, swap: Swap | None = None) -> Span:
        seen = rows.span(feed.row, 0, -(-(position + count) // KEY_BLOCK) * KEY_BLOCK)
        return Span(offset + at, count, position, seen if isinstance(seen, slice) else _ids(seen, device), swap)

    spans = [span(at, count, feed.start + at) for at, count in _pieces(feed)]
    blocks = {piece.start // KEY_BLOCK: piece for piece in spans if piece.offset >= offset + _read(feed)}
    for query, (position, _, kept_at, alike) in enumerate(feed.beside, len(feed.tokens)):
        piece = blocks.get(position // KEY_BLOCK)
        if piece is not None and alike:
            piece.asides += (Aside(offset + query, position, kept_at),)
        else:
            slots = [rows.slots(feed.row, at, at + 1)[0] for at in (position, kept_at)]
            spans.append(span(query, 1, position, Swap(*slots)))
    return spans


def _pieces(feed: Feed) -> Iterator[tuple[int, int]]:
    """Where each piece of a feed begins, and its length.

    A prompt is cut so that its queries do not look at keys far beyond their own positions, and at the same places however much of it
    is fed at once. What stands where plain decoding feeds single tokens (the draft, and a lone token before it) is cut where a block of
    keys ends. For a query's bits depend on how many keys the matrix library is given, masked ones too: it must be as many in any company.
    """
    read = _read(feed)
    yield from _cut(feed.start, 0, read, MAX_QUERIES)
    yield from _cut(feed.start, read, len(feed.tokens), KEY_BLOCK)


def _read(feed: Feed) -> int:
    """How many tokens of a feed are read, as prompts are."""
    committed = len(feed.tokens) - max(0, feed.wanted - 1)
    return committed if committed > 1 else 0


def _cut(start: int, at: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Tokens [at, stop) of a feed that begins at position `start`, cut where a position is a multiple of the size."""
    while at < stop:
        count = min(size - (start + at) % size, stop - at)
        yield at, count
        at += count


def _ids(values: list[int], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.long, device=device)


class ModelRunner:
    """A loaded model with its KV cache. One thread at a time.

    exact: False lets what a token gets depend, to the last bits, on which others are run beside it, and weights be rounded
    (model/linear.py) where that is faster; for drafts alone.
    """

    def __init__(self, loaded: LoadedModel, compiled: bool = False, exact: bool = True) -> None:
        self.loaded = loaded
        self.model = loaded.model
        self.device, self.dtype = loaded.device, loaded.dtype
        self.rows = RowPool(0)
        self.closed, self.exact = False, exact
        packed, rounded = linear.can_pack(self.dtype, self.device), not exact and linear.can_round(self.dtype, self.device)
        self._min_tokens = linear.MIN_TOKENS[self.dtype] if packed and not rounded else 1
        with torch.inference_mode():
            with linear.Inputs(self.model) as inputs:
                self.layers = AttentionLayers(self.model)
            if packed:
                linear.pack_linears(self.model, inputs.shared(), rounded)
        if compiled:
            decoder = self.model.get_decoder()
            decoder.forward = torch.compile(decoder.forward, dynamic=True)
            self._min_tokens = max(self._min_tokens, 2)  # one token would be compiled as a shape of its own

    @property
    def parameter_bytes(self) -> int:
        return self.loaded.parameter_bytes - linear.saved_bytes(self.model)

    @property
    def bytes_per_token(self) -> int:
        return self.layers.elements_per_token * self.dtype.itemsize

    def allocate(self, num_blocks: int) -> None:
        """Take the cache: num_blocks blocks for rows, and one more that the padding of a pass writes to."""
        self.rows = RowPool(num_blocks)
        with torch.inference_mode():
            self.layers.allocate((num_blocks + 1) * BLOCK_SIZE, self.dtype)

    def inherit(self, row: Row, of: Row, length: int, room: int) -> bool:
        """Let a new row have the first positions of another, keys and values too: see RowPool.inherit."""
        return self.rows.inherit(row, of, length, room, self.layers.copy)

    @property
    def sums_in_pairs(self) -> bool:
        """Whether keys may not be moved among others without a change of bits; see attention.KEY_STRIDE. Of a GPU's nothing is claimed."""
        return self.dtype.itemsize < 4 and self.device.type == "cpu"

    def beside(self, wanted: list[tuple[int, int]], stop: int) -> tuple[Beside, ...]:
        """Tokens for positions (position, token) of a row that stand beside those that end at `stop`, and where each is best kept: in the
        same block a stride or several on, where that is free, or else behind the others, within as much room as so many tokens have."""
        stride = KEY_BLOCK if self.sums_in_pairs else KEY_STRIDE
        found: dict[int, int] = {}
        for number, (position, _) in enumerate(wanted):
            end = (position // KEY_BLOCK + 1) * KEY_BLOCK
            free = (place for place in range(position + stride, end, stride) if place >= stop and place not in found.values())
            if (place := next(free, None)) is not None:
                found[number] = place
        behind = (place for place in count(stop) if place not in found.values())
        kept = [found[number] if number in found else next(behind) for number in range(len(wanted))]
        return tuple(Beside(*each, place, number in found) for number, (each, place) in enumerate(zip(wanted, kept, strict=True)))

    def move(self, row: Row, position: int, to: int) -> None:
        """What stands at one position of a row, to another of it."""
        self.layers.copy(self.rows.slots(row, position, position + 1), self.rows.slots(row, to, to + 1))

    def forward(self, feeds: list[Feed]) -> Tensor:
        """Logits [sum of wanted, vocabulary] in the order of feeds; [1, vocabulary] of no use where none is wanted.

        Every row must have been reserved up to its last position. Keys and values of the fed positions are written;
        `row.length` is the caller's to set.
        """
        return self._forward(feeds)

    def forward_hidden(self, feeds: list[Feed]) -> tuple[Tensor, Tensor]:
        """The same, with the last hidden states of all fed tokens: [N, hidden size] in the order of feeds."""
        kept: list[Tensor] = []
        hook = self.model.get_decoder().register_forward_hook(lambda module, given, out: kept.append(out.last_hidden_state[0]))
        try:
            logits = self._forward(feeds)
        finally:
            hook.remove()
        return logits, kept[0][: sum(len(feed.ids) for feed in feeds)]

    def _forward(self, feeds: list[Feed]) -> Tensor:
        placed = place(self.rows, feeds, self._min_tokens, self.device, self.exact)
        ids = [token for feed in feeds for token in feed.ids]
        with torch.inference_mode():
            self.layers.begin(placed.current)
            out: Any = self.model(
                input_ids=torch.tensor(ids + [0] * placed.padding, device=self.device)[None],
                position_ids=placed.positions[None],
                logits_to_keep=placed.wanted,
                use_cache=False,
            )
        logits: Tensor = out.logits[0]
        return logits

    def close(self) -> None:
        """Give back the cache and the weights."""
        if not self.closed:
            self.closed = True
            self.layers.close()
            linear.release_linears(self.model)
            del self.model, self.layers
