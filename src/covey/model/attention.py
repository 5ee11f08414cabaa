"""Attention over a row-addressed KV cache, plugged into unmodified transformers models by their attention interface.

All tokens of a pass, of however many sequences, stand side by side in one dimension of length N; only attention
cares which sequence a token belongs to. For every layer it writes the new keys and values at their slots and lets
each span of queries look at its own row, no further than its own position. So a row pays for its own length, prompts
and drafts and single tokens mix freely, and a compiled model sees one shape that varies in N alone.

Knows nothing of sampling or scheduling.

    layers = AttentionLayers(model)      # a model loaded with attn_implementation=NAME; see runner.py
"""

from __future__ import annotations

import contextlib
import math
import mmap
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from covey.errors import UnsupportedError
from covey.rows import BLOCK_SIZE, READ_AT_ONCE, Place

NAME = "covey"

# Attention is computed in whole blocks of keys, and for at least so many queries of a key head, so that a query's
# result has the same bits whether it is decoded alone or verified among others: the matrix library chooses its order
# of summation by shape. Masked keys within a block are harmless, a masked block is not always (see runner._pieces).
KEY_BLOCK = BLOCK_SIZE
MIN_QUERIES = 8
# A prompt's queries are cut into spans of this length: each then stops at its own last key, half the work of a whole square.
MAX_QUERIES = READ_AT_ONCE

# A key that is moved on by as many positions as the widest processor adds up at once is added in the same place of the order, for those
# that are masked in between add nothing: a query gets the same bits. Not so where keys are multiplied in pairs, as those of 16 bits may be.
KEY_STRIDE = 16

_fused = nn.functional.scaled_dot_product_attention
_AS_IT_IS = contextlib.nullcontext()

# What transformers hands to every attention function and what has no bearing on the result here.
_HARMLESS = {
    "position_ids", "position_embeddings", "cache_position", "past_key_values", "past_key_value", "use_cache", "is_causal",
    "output_attentions", "output_hidden_states", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "layer_idx",
    "output_router_logits", "return_dict", "cumulative_seqlens_q", "cumulative_seqlens_k",
}  # fmt: skip


@dataclass(frozen=True)
class Swap:
    """While a span attends, the keys and values at one slot are those that are kept at another one."""

    slot: int
    kept_at: int


class Aside(NamedTuple):
    """A query that stands at a position as if there were no other one, its keys and values kept at a later position of the row."""

    query: int
    position: int
    kept_at: int


@dataclass
class Span:
    """Some neighbouring queries of one row: queries [offset, offset + count) stand at positions start, start + 1, ...

    asides: queries that see what these see, up to their own positions.
    """

    offset: int
    count: int
    start: int
    slots: slice | Tensor  # of positions 0 .. start + count - 1, and on to the end of a block
    swap: Swap | None = None
    asides: tuple[Aside, ...] = ()

    @property
    def queries(self) -> list[int]:
        return [*range(self.offset, self.offset + self.count), *(aside.query for aside in self.asides)]


@dataclass(frozen=True)
class View:
    """What one span sees in layers of one kind: its padded queries [offset, stop), its slots, and which of them are hidden."""

    offset: int
    stop: int
    slots: slice | Tensor
    mask: Tensor | None  # additive, [groups * padded queries, L]; None: all are seen
    swap: Swap | None = None

    def of(self, cache: Tensor) -> Tensor:
        """The visible part of the row's cache: [1, heads, L, dim]."""
        return cache[self.slots].transpose(0, 1)[None]


@dataclass(frozen=True)
class Plan:
    """How layers of one kind attend in one pass. `padded` repeats queries, `real` takes their results back; None: all as they are."""

    views: list[View]
    padded: Tensor | None
    real: Tensor | None


class Stored(Exception):
    """The keys and values that a pass was made for are stored; see Pass."""


class Pass:
    """One forward pass over N tokens: where each one's keys and values go [N], and which queries belong to which row.

    Tokens behind the last span only fill the pass up; what they see is of no use. exact: queries get the same bits in any company,
    for which they are padded; a draft's need not, and a small draft's pass is not much more than what that takes. ends_with: a layer
    whose keys and values are the last of what is wanted; it raises Stored.
    """

    def __init__(self, slots: Tensor, spans: list[Span], exact: bool = True) -> None:
        self.slots, self.spans, self.exact = slots, spans, exact
        self.ends_with: Layer | None = None
        self._plans: dict[tuple[int, int | None], Plan] = {}

    def plan(self, groups: int, window: int | None, dtype: torch.dtype) -> Plan:
        """Made once for all layers of a kind: groups query heads to a key head, which see the last `window` positions."""
        plan = self._plans.get((groups, window))
        if plan is None:
            plan = self._plans[groups, window] = self._plan(groups, window, dtype)
        return plan

    def _plan(self, groups: int, window: int | None, dtype: torch.dtype) -> Plan:
        views: list[View] = []
        masks: dict[Hashable, Tensor] = {}  # rows that read one text at once, of kin for instance, are masked alike
        padded: list[int] = []  # which query stands at each place
        real = [0] * len(self.slots)  # at which place each query stands
        for span in self.spans:
            offset, queries = len(padded), span.queries
            count = max(len(queries), -(-MIN_QUERIES // groups)) if self.exact else len(queries)
            padded += queries + queries[-1:] * (count - len(queries))
            for place, query in enumerate(queries, offset):
                real[query] = place
            if span.count == 1 and not self.exact:
                views.append(View(offset, len(padded), _cut(span.slots, _first_seen(span, window), span.start + 1), None))
                continue
            first = _first_seen(span, window) // KEY_BLOCK * KEY_BLOCK
            kind = span.start, span.count, span.asides
            if kind not in masks:
                masks[kind] = _mask(span, count, first, window, dtype, self.slots.device).repeat(groups, 1)
            views.append(View(offset, len(padded), _cut(span.slots, first, None), masks[kind], span.swap))
        if padded == list(range(len(self.slots))):
            return Plan(views, None, None)
        device = self.slots.device
        return Plan(views, torch.tensor(padded, device=device), torch.tensor(real, device=device))


def _first_seen(span: Span, window: int | None) -> int:
    """The first position that any query of the span may see."""
    return 0 if window is None else max(0, span.start - window + 1)


def _cut(slots: slice | Tensor, first: int, stop: int | None) -> slice | Tensor:
    """Those of some of the positions, None: to the last one."""
    if isinstance(slots, slice):
        return slice(slots.start + first, slots.stop if stop is None else slots.start + stop)
    return slots[first:stop]


def _mask(span: Span, count: int, first: int, window: int | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What each of a span's queries may see, the last one repeated: additive, [count, L]."""
    stands = [*range(span.start, span.start + span.count), *(aside.position for aside in span.asides)]
    query = torch.tensor(stands + stands[-1:] * (count - len(stands)), device=device)[:, None]
    position = torch.arange(first, -(-(span.start + span.count) // KEY_BLOCK) * KEY_BLOCK, device=device)
    visible = position <= query
    if window is not None:
        visible &= position > query - window
    for number, aside in enumerate(span.asides, span.count):
        last = number + 1 == len(stands)
        rows = slice(number, None if last else number + 1)
        visible[rows, aside.position - first] = False
        visible[rows, aside.kept_at - first] = True
    return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill_(~visible, float("-inf"))


class Layer:
    """The cache of one attention layer, keys and values [slots, kv_heads, dim] each, and the attention over it."""

    def __init__(self, kv_heads: int, key_dim: int, value_dim: int, window: int | None) -> None:
        self.kv_heads, self.key_dim, self.value_dim, self.window = kv_heads, key_dim, value_dim, window
        self.keys = self.values = torch.empty(0)
        self.current: Pass | None = None

    def allocate(self, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        self.keys = _zeros((slots, self.kv_heads, self.key_dim), dtype, device)
        self.values = _zeros((slots, self.kv_heads, self.value_dim), dtype, device)

    def copy(self, source: slice | Tensor, destination: slice | Tensor) -> None:
        """What stands at some slots to others, which are none of them."""
        for cache in (self.keys, self.values):
            cache[destination] = cache[source]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None, softcap: float | None) -> Tensor:
        """query [1, H, N, D], key and value [1, kv_heads, N, D] -> [1, N, H, D]. Raises Stored where the pass ends here."""
        assert self.current is not None
        self.keys.index_copy_(0, self.current.slots, key[0].transpose(0, 1))
        self.values.index_copy_(0, self.current.slots, value[0].transpose(0, 1))
        if self.current.ends_with is self:
            raise Stored
        heads = query.shape[1]
        groups = heads // self.kv_heads
        plan = self.current.plan(groups, window, query.dtype)
        if plan.padded is not None:
            query = query.index_select(2, plan.padded)
        grouped = query.unflatten(1, (self.kv_heads, groups))  # [1, kv_heads, groups, N, D]: a key head serves its group
        parts: list[Tensor] = []
        for view in plan.views:
            q = grouped[:, :, :, view.offset : view.stop].flatten(2, 3)
            with self._swapped(view.swap) if view.swap else _AS_IT_IS:
                k, v = view.of(self.keys), view.of(self.values)
                y = _capped(q, k, v, view.mask, scale, softcap) if softcap else _fused(q, k, v, view.mask, scale=scale)
            parts.append(y.view(heads, -1, self.value_dim))
        out = parts[0] if len(parts) == 1 else torch.cat(parts, 1)  # [H, N, D]
        if plan.real is not None:
            out = out.index_select(1, plan.real)
        return out.transpose(0, 1).contiguous()[None]

    @contextlib.contextmanager
    def _swapped(self, swap: Swap) -> Iterator[None]:
        held = [cache[swap.slot].clone() for cache in (self.keys, self.values)]
        self.keys[swap.slot], self.values[swap.slot] = self.keys[swap.kept_at], self.values[swap.kept_at]
        try:
            yield
        finally:
            self.keys[swap.slot], self.values[swap.slot] = held


def _zeros(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, since masked positions are read and 0 * NaN is NaN. On the CPU memory costs nothing before it is touched.

    It is touched in small pages: rows begin far from one another, and with huge ones, which numpy asks for, the first position of a row
    had 2 MiB cleared in every cache of every layer, seconds for a batch.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, **private)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel that has none
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def _capped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, softcap: float) -> Tensor:
    """Attention with tanh-capped scores (Gemma 2), which the fused kernels do not offer."""
    scores = torch.tanh(query @ key.transpose(-1, -2) * scale / softcap) * softcap
    scores = scores if mask is None else scores + mask
    return scores.softmax(-1, dtype=torch.promote_types(query.dtype, torch.float32)).to(query.dtype) @ value


# Layers are known to the operator by number, held in a buffer of the attention module, so that torch.compile can
# treat attention as one opaque operation and share compiled code between layers.
_layers: dict[int, Layer] = {}
_next_handle = iter(range(1 << 62))

_library = torch.library.Library("covey", "FRAGMENT")
_library.define("attend(Tensor q, Tensor k, Tensor v, Tensor handle, float scale, int? window, float? softcap) -> Tensor")


def _attend(q: Tensor, k: Tensor, v: Tensor, handle: Tensor, scale: float, window: int | None, softcap: float | None) -> Tensor:
    return _layers[int(handle)].attend(q, k, v, scale, window, softcap)


def _attend_shape(q: Tensor, k: Tensor, v: Tensor, handle: Tensor, scale: float, window: int | None, softcap: float | None) -> Tensor:
    return q.new_empty(1, q.shape[2], q.shape[1], v.shape[3])


for _device in ("CPU", "CUDA"):
    _library.impl("attend", _attend, _device)
torch.library.register_fake("covey::attend", _attend_shape)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, dropout: float = 0.0, sliding_window: int | None = None, softcap: float | None = None, **others: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """The function that transformers calls for every layer."""
    unknown = sorted(name for name, given in others.items() if name not in _HARMLESS and given is not None and given is not False)
    if unknown or attention_mask is not None:
        what = unknown or ["attention_mask"]
        raise UnsupportedError(f"attention of {type(module).__name__} asks for {what}, which covey does not compute")
    if _discovered is not None:
        _discovered.append((module, Layer(key.shape[1], key.shape[3], value.shape[3], sliding_window)))
        return query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3]), None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if torch.compiler.is_compiling():
        return torch.ops.covey.attend(query, key, value, module.covey_layer, scale, sliding_window, softcap), None
    number: Any = module.covey_number  # what is not compiled need not go by an operator
    return _layers[number].attend(query, key, value, scale, sliding_window, softcap), None


AttentionInterface.register(NAME, _attention)

_discovery = threading.Lock()
_discovered: list[tuple[nn.Module, Layer]] | None = None


def _discover(model: PreTrainedModel) -> list[tuple[nn.Module, Layer]]:
    """Which modules attend, in order, and the shapes of their keys and values: learned from a pass over two tokens."""
    global _discovered
    with _discovery:
        _discovered = []
        try:
            ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
            model(input_ids=ids, position_ids=torch.arange(2, device=model.device)[None], use_cache=False)
            return _discovered
        finally:
            _discovered = None


def _check(model: PreTrainedModel, found: list[tuple[nn.Module, Layer]]) -> None:
    """Refuse, by name, a model whose attention covey would get wrong."""
    config = model.config
    if len(found) != config.num_hidden_layers or len({id(module) for module, _ in found}) != len(found):
        raise UnsupportedError(
            f"model type {config.model_type!r}: {len(found)} of {config.num_hidden_layers} layers have pluggable attention; "
            "covey needs it in all of them"
        )
    for kind, (_, layer) in zip(getattr(config, "layer_types", None) or [], found, strict=False):
        if kind == "sliding_attention" and layer.window is None:
            raise UnsupportedError(f"model type {config.model_type!r}: its sliding-window layers do not tell their window")


class AttentionLayers:
    """All attention layers of one model: found by a first pass, then given their cache.

    Raises UnsupportedError when some layers do not attend through the interface, or not in a way covey computes.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        found = _discover(model)
        _check(model, found)
        self.layers = [layer for _, layer in found]
        self.device = model.device
        self._handles: list[int] = []
        for module, layer in found:
            number = next(_next_handle)
            _layers[number] = layer
            self._handles.append(number)
            # On the CPU even for a GPU model: the number is read in every pass, without a synchronisation.
            module.register_buffer("covey_layer", torch.tensor(number, device="cpu"), persistent=False)
            module.covey_number = number  # type: ignore[assignment]

    @property
    def elements_per_token(self) -> int:
        """Cache numbers that one position takes over all layers."""
        return sum(layer.kv_heads * (layer.key_dim + layer.value_dim) for layer in self.layers)

    def allocate(self, slots: int, dtype: torch.dtype) -> None:
        for layer in self.layers:
            layer.allocate(slots, dtype, self.device)

    def copy(self, source: Place, destination: Place) -> None:
        """The keys and values of some slots to others: see RowPool.inherit."""
        here, there = (place if isinstance(place, slice) else torch.tensor(place, device=self.device) for place in (source, destination))
        with torch.inference_mode():
            for layer in self.layers:
                layer.copy(here, there)

    def begin(self, current: Pass) -> None:
        for layer in self.layers:
            layer.current = current

    def close(self) -> None:
        for number in self._handles:
            _layers.pop(number, None)
