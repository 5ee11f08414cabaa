"""Loads models, tokenizers and configurations by name, or refuses them in one line.

Knows nothing of how a model is run.

    loaded = load("smollm2", dtype="auto", device="auto"); loaded.model, loaded.tokenizer
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel

from covey.errors import CoveyError, OutOfMemoryError, UnsupportedError
from covey.model import attention as covey_attention
from covey.model.atomic import Report
from covey.model.convert import one_line
from covey.model.machine import choose_device, choose_dtype
from covey.model.names import resolve
from covey.model.quiet import quiet
from covey.model.support import check_config, check_context, check_folder, check_modules, check_raw_config, model_class
from covey.model.tokenizer import Tokenizer

__all__ = ["LoadedModel", "check_context", "load", "load_config", "load_tokenizer"]

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, without gradients. vocab_size is the width of its logits; parameter_bytes counts shared weights once."""

    model: PreTrainedModel
    config: PretrainedConfig
    tokenizer: Tokenizer
    name: str
    dtype: torch.dtype
    device: torch.device
    max_position: int
    end_ids: frozenset[int]
    vocab_size: int
    parameter_bytes: int


def load(
    name: str, dtype: str = "auto", device: str = "auto", attention: str = covey_attention.NAME, progress: Report | None = None
) -> LoadedModel:
    """Load a target or draft model.

    name: see names.resolve. dtype: auto, bfloat16, float16, float32 or float64. device: auto, cpu, cuda or cuda:N.
    attention: the name of the attention function that transformers is to call.

    Raises CoveyError for what a user can mend, UnsupportedError for a model that cannot be run exactly.
    """
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device)
    place = resolve(name, progress)
    config = _read_config(place)
    tokenizer = load_tokenizer(place)
    model = _load_weights(place, config, chosen_dtype, attention)
    check_modules(model, str(name))
    _move(model, chosen_device)
    tensors = [*model.parameters(), *model.buffers()]
    return LoadedModel(
        model=model,
        config=model.config,
        tokenizer=tokenizer,
        name=str(name),
        dtype=chosen_dtype,
        device=chosen_device,
        max_position=_max_position(config, str(name)),
        end_ids=_end_ids(model, tokenizer),
        vocab_size=model.get_output_embeddings().weight.shape[0],
        parameter_bytes=sum(t.numel() * t.element_size() for t in tensors),
    )


def load_config(name: str | Path, progress: Report | None = None) -> PretrainedConfig:
    """The configuration of a model that covey can run; no weights are read."""
    place = resolve(name, progress)
    config = _read_config(place)
    with torch.device("meta"):
        check_modules(_or_error(place, "config.json", lambda: model_class(config, str(place))(config)), str(place))
    return config


def _read_config(place: Path) -> PretrainedConfig:
    check_folder(place)
    check_raw_config(_or_error(place, "config.json", lambda: dict(json.loads((place / "config.json").read_text("utf-8")))), str(place))
    config: PretrainedConfig = _or_error(place, "config.json", lambda: AutoConfig.from_pretrained(place, trust_remote_code=False))
    check_config(config, str(place))
    _max_position(config, str(place))
    return config


def load_tokenizer(name: str | Path, progress: Report | None = None) -> Tokenizer:
    """The tokenizer of a model."""
    place = resolve(name, progress)
    return Tokenizer(_or_error(place, "the tokenizer", lambda: AutoTokenizer.from_pretrained(place, trust_remote_code=False)), str(place))


def _load_weights(place: Path, config: PretrainedConfig, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    cls = model_class(config, str(place))
    loaded: Any = _or_error(
        place,
        "the weights",
        lambda: cls.from_pretrained(
            place, config=config, dtype=dtype, attn_implementation=attention, use_safetensors=True, output_loading_info=True
        ),
    )
    model, found = loaded
    # transformers would make up what is missing at random.
    if missing := sorted(found["missing_keys"]):
        why = f"the weights lack {len(missing)} parts of a {cls.__name__}, {missing[0]} among them"
        raise CoveyError(f"target {str(place)!r}: {why}: fetch the model again, or name another")
    return model


def _move(model: nn.Module, device: torch.device) -> None:
    try:
        model.to(device)
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(f"device='{device}': its memory does not hold the weights ({one_line(error)}): set device='cpu'") from error
    model.eval().requires_grad_(False)


def _or_error(place: Path, part: str, read: Callable[[], T]) -> T:
    """Whatever goes wrong while reading a file is the file's fault, in one line."""
    try:
        with quiet():
            return read()
    except (CoveyError, MemoryError):
        raise
    except Exception as error:  # of json, safetensors, tokenizers, huggingface_hub and transformers: there is no common base
        raise CoveyError(f"target {str(place)!r}: cannot read {part} ({one_line(error)}): fetch or save the model again") from error


def _max_position(config: PretrainedConfig, name: str) -> int:
    longest = getattr(config, "max_position_embeddings", None)
    if not isinstance(longest, int):
        raise UnsupportedError(f"target {name!r}: its config has no max_position_embeddings; add the longest text that it was trained on")
    return longest


def _end_ids(model: PreTrainedModel, tokenizer: Tokenizer) -> frozenset[int]:
    """What ends a text: the tokens that transformers' generate stops at, and the tokenizer's own end."""
    given: Any = getattr(model.generation_config, "eos_token_id", None)
    if given is None:
        given = getattr(model.config, "eos_token_id", None)
    ends = given if isinstance(given, list | tuple) else [given]
    return frozenset(i for i in [*ends, tokenizer.end_id] if i is not None)
