"""What a model would take, read from its configuration: parameters, cache, tokenizer. No weights are read.

Knows models by name; knows nothing of what a person is told of them.

    outline("smollm2", dtype="auto", device="auto").bytes_per_token
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from covey.model import attention
from covey.model.load import load_config, load_tokenizer
from covey.model.machine import choose_device, choose_dtype
from covey.model.support import check_modules, model_class
from covey.toy import ToyTarget


@dataclass(frozen=True)
class Outline:
    """A model without its weights. parameter_bytes counts shared weights once, bytes_per_token is one position's cache."""

    name: str
    kind: str
    layers: int
    vocab_size: int
    parameters: int
    parameter_bytes: int
    bytes_per_token: int
    max_model_len: int
    dtype: str
    device: str
    tokenizer: Any

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "tokenizer"}


def outline(name: str, dtype: str, device: str) -> Outline:
    """Raises CoveyError, with the reason, for what covey cannot run."""
    if name == "toy":
        toy = ToyTarget()
        return Outline(name, "toy", 0, toy.vocab_size, 0, 0, toy.bytes_per_token, toy.max_model_len, toy.dtype, toy.device, toy.tokenizer)
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device)
    config, tokenizer = load_config(name), load_tokenizer(name)
    with torch.device("meta"), torch.inference_mode():
        model = model_class(config, name)._from_config(config, attn_implementation=attention.NAME, dtype=chosen_dtype)
        check_modules(model, name)
        layers = attention.AttentionLayers(model)
    layers.close()
    parameters = sum(p.numel() for p in model.parameters())
    return Outline(
        name=name,
        kind=str(config.model_type),
        layers=len(layers.layers),
        vocab_size=model.get_output_embeddings().weight.shape[0],
        parameters=parameters,
        parameter_bytes=parameters * chosen_dtype.itemsize,
        bytes_per_token=layers.elements_per_token * chosen_dtype.itemsize,
        max_model_len=config.max_position_embeddings,
        dtype=str(chosen_dtype).removeprefix("torch."),
        device=str(chosen_device),
        tokenizer=tokenizer,
    )
