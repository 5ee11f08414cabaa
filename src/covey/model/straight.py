"""Whether a decoder does nothing but to run its layers one after another, so that they can be run without it.

What transformers does around the layers (to check what it is given, to make masks that covey does not use, to gather outputs) counts in a
draft of one layer. Whether it can be left out is seen in a pass of the decoder itself: each layer must take what the one before left, with
the positions and what the decoder's own rotary embedding makes of them, and nothing else; and what the last one leaves must be what the
decoder gives.

    with Straight(decoder) as straight:
        decoder(...)                                    # any pass
    if straight.found: layers_alone(decoder, 0, 2)      # hidden states and positions -> hidden states
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn


class Straight:
    """Watches one pass of a decoder."""

    def __init__(self, decoder: nn.Module) -> None:
        self._decoder, self._hooks = decoder, list[Any]()
        self._passes: list[tuple[dict[str, Any], Any]] = []  # what the decoder was given, and what it gave
        self._layers: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = []  # the same of each layer

    def __enter__(self) -> Straight:
        def note(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], left: Any) -> None:
            self._layers.append((given, named, left))

        def note_all(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], left: Any) -> None:
            self._passes.append((named, left))

        self._hooks = [layer.register_forward_hook(note, with_kwargs=True) for layer in getattr(self._decoder, "layers", ())]
        self._hooks.append(self._decoder.register_forward_hook(note_all, with_kwargs=True))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    @property
    def found(self) -> bool:
        """Whether the pass was as above."""
        decoder: Any = self._decoder
        rotary = getattr(decoder, "rotary_emb", None)
        if rotary is None or len(self._passes) != 1 or len(self._layers) != len(decoder.layers):
            return False
        (asked, gave), *_ = self._passes
        embeds = asked.get("inputs_embeds")
        hidden = decoder.embed_tokens(asked["input_ids"]) if embeds is None else embeds
        for given, named, left in self._layers:
            said = {name: value for name, value in named.items() if value is not None and value is not False}
            if len(given) != 1 or set(said) != {"position_ids", "position_embeddings"} or not isinstance(left, Tensor):
                return False
            turned = zip(rotary(hidden, said["position_ids"]), said["position_embeddings"], strict=True)
            if not torch.equal(given[0], hidden) or not all(torch.equal(mine, theirs) for mine, theirs in turned):
                return False
            hidden = left
        return torch.equal(gave.last_hidden_state, hidden)


def layers_alone(decoder: nn.Module, first: int, last: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Layers first + 1 .. last of a decoder of which that was found: hidden states [1, N, H] and positions [1, N] -> [1, N, H]."""
    parts: Any = decoder
    layers, rotary = list(parts.layers)[first:last], parts.rotary_emb

    def run(hidden: Tensor, positions: Tensor) -> Tensor:
        turned = rotary(hidden, positions)
        for layer in layers:
            hidden = layer(hidden, attention_mask=None, position_ids=positions, use_cache=False, position_embeddings=turned)
        return hidden

    return run
