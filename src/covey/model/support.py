"""Which models covey can run, and why not the others: every refusal names the model, the reason and a way out.

Reads configurations and classes; never weights.

    check_folder(folder); check_config(config, name); check_context(config, max_model_len)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig, PreTrainedModel

from covey.errors import CoveyError, UnsupportedError

_LAYER_TYPES = {"full_attention", "sliding_attention"}
_PARTS_OF_ONE_MODEL = {"attn_config", "ffn_config"}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def _refuse(name: str, why: str) -> None:
    raise UnsupportedError(f"target {name!r}: {why}")


def check_folder(folder: Path) -> None:
    """Raise CoveyError when the folder does not hold a model with safetensors weights."""
    name = str(folder)
    if (folder / "adapter_config.json").exists():
        _refuse(name, "a LoRA or other PEFT adapter; merge it into its base model (peft: merge_and_unload) and name the merged folder")
    if not (folder / "config.json").exists():
        ggufs = sorted(folder.glob("*.gguf"))
        hint = f"name the file {str(ggufs[0])!r}" if ggufs else "name a folder as save_pretrained writes it"
        raise CoveyError(f"target {name!r}: the folder has no config.json: {hint}")
    if not any((folder / f"model.safetensors{end}").exists() for end in ("", ".index.json")):
        if any(path for pattern in _PICKLES for path in folder.glob(pattern)):
            _refuse(name, "has pickled weights only, which can run code when loaded; save it again with safetensors (save_pretrained does)")
        raise CoveyError(f"target {name!r}: the folder has no model.safetensors: fetch the model again")


def check_raw_config(raw: Mapping[str, Any], name: str) -> None:
    """Refusals that must come before transformers reads the configuration. raw is the content of config.json."""
    kind = raw.get("model_type")
    if raw.get("is_encoder_decoder"):
        _refuse(name, f"model_type {kind!r} is an encoder-decoder; covey runs decoder-only models")
    if quantised := raw.get("quantization_config") or raw.get("compression_config"):
        method = quantised.get("quant_method", "unknown method") if isinstance(quantised, Mapping) else "unknown method"
        _refuse(name, f"has quantised weights ({method}); name the unquantised model or a .gguf file")
    if kind not in CONFIG_MAPPING:
        if "auto_map" in raw:
            _refuse(
                name, f"model_type {kind!r} needs code of its own (auto_map), which covey never runs; name a model built into transformers"
            )
        _refuse(name, f"model_type {kind!r} is not known to the installed transformers; a newer version may know it")


def model_class(config: PretrainedConfig, name: str) -> type[PreTrainedModel]:
    """The causal LM class of a configuration."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        _refuse(name, f"model_type {config.model_type!r} is not a causal language model")
    found: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return found[0] if isinstance(found, tuple | list) else found


def check_config(config: PretrainedConfig, name: str) -> None:
    """Raise UnsupportedError when a model of this configuration cannot be run exactly."""
    kind = config.model_type
    if config.is_encoder_decoder:
        _refuse(name, f"model_type {kind!r} is an encoder-decoder; covey runs decoder-only models")
    if parts := sorted(set(config.sub_configs) - _PARTS_OF_ONE_MODEL):
        _refuse(
            name,
            f"model_type {kind!r} is several models in one ({', '.join(parts)}); covey runs text models: save its language model alone",
        )
    _check_layers(config, name)
    cls = model_class(config, name)
    if not cls._supports_attention_backend:
        _refuse(name, f"model_type {kind!r} does not use transformers' attention interface, by which covey's cache is plugged in")
    if not isinstance(getattr(config, "vocab_size", None), int):
        _refuse(name, f"model_type {kind!r} has no vocab_size in its config")
    if getattr(config, "use_bidirectional_attention", None) not in (None, False, "vision"):  # "vision": among image tokens only
        _refuse(name, "looks ahead in its text (use_bidirectional_attention); covey runs causal models")


def _check_layers(config: PretrainedConfig, name: str) -> None:
    types = getattr(config, "layer_types", None) or []
    if others := sorted(set(types) - _LAYER_TYPES):
        _refuse(name, f"has layers of type {', '.join(others)}; covey's cache holds {' and '.join(sorted(_LAYER_TYPES))} only")
    cls = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if getattr(cls, "_is_stateful", False):
        _refuse(name, f"model_type {config.model_type!r} keeps a recurrent state, from which rejected tokens cannot be taken back")
    if shared := getattr(config, "num_kv_shared_layers", None):
        _refuse(name, f"{shared} of its layers read the keys of others (num_kv_shared_layers), which covey's cache does not offer")


def check_modules(model: nn.Module, name: str) -> None:
    """Raise UnsupportedError when the modules show what the configuration does not. Weights may be missing (meta device)."""
    for module in model.modules():
        if isinstance(module, nn.Conv1d):
            _refuse(name, f"{type(module).__name__} layers mix neighbouring tokens outside attention, which covey's cache does not hold")
        if getattr(module, "is_causal", True) is False:
            _refuse(name, f"{type(module).__name__} looks ahead in its text; covey runs causal models")


def check_context(config: PretrainedConfig, max_model_len: int) -> None:
    """Raise UnsupportedError when rotary frequencies would change with the longest sequence of a batch.

    "dynamic" and "longrope" positions do so past a limit, and the text of a request would depend on its neighbours.
    """
    given = getattr(config, "rope_parameters", None) or {}
    for rope in [given, *(part for part in given.values() if isinstance(part, Mapping))]:
        kind = rope.get("rope_type", "default")
        if kind != "longrope" and "dynamic" not in kind:
            continue
        limit = config.max_position_embeddings
        if kind == "longrope":
            limit = rope.get("original_max_position_embeddings") or limit
        if max_model_len > limit:
            why = f"rope type {kind!r} changes past {limit} positions with the longest sequence of a batch"
            raise UnsupportedError(f"max_model_len={max_model_len}: {why}; set max_model_len to at most {limit}")
