"""A tiny Llama as a GGUF file, as llama.cpp's converter writes them.

gguf = tiny_gguf(tmp_path / "tiny.gguf", tiny_model("llama", tmp_path / "hf"))
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants
from safetensors.numpy import load_file

_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.layers.": "blk.",
}


def tiny_gguf(path: Path, folder: Path, kind: str = "F32", pre: str = "gpt-2", leave_out: str = "") -> Path:
    """Write the Llama in the folder to the path. kind is the ggml type of its matrices; leave_out a weight to forget."""
    config = json.loads((folder / "config.json").read_text())
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    _add_tokenizer(writer, folder, pre)
    for name, weight in load_file(folder / "model.safetensors").items():
        if name != leave_out:
            _add_weight(writer, name, weight, config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter, folder: Path, pre: str) -> None:
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<") and token.endswith(">") else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)


def _add_weight(writer: GGUFWriter, name: str, weight: np.ndarray, config: dict[str, int], kind: str) -> None:
    for heads, part in (("num_attention_heads", "q_proj"), ("num_key_value_heads", "k_proj")):
        if part in name:  # the halves of a rotary pair lie side by side in a GGUF
            weight = weight.reshape(config[heads], 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    if weight.ndim == 1:
        writer.add_tensor(name, weight)
    else:
        ggml = GGMLQuantizationType[kind]
        writer.add_tensor(name, quants.quantize(weight, ggml), raw_dtype=ggml)
