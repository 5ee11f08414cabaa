"""Tiny random models of every family that the tests run, with a tiny tokenizer: made in a moment, no network.

Weights are large, so that logits lie far apart and greedy text wanders instead of repeating one token. The tokenizer
is byte-level and holds the bytes of a few longer characters, so that text also breaks inside characters.

    folder = tiny_model("gemma2", tmp_path)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from covey.model.quiet import quiet

HEADS, KV_HEADS, HEAD_DIM = 4, 2, 16
HIDDEN = HEADS * HEAD_DIM
WINDOW = 16
POSITIONS = 512
SPECIAL = ("<unk>", "<s>", "</s>")
UNKNOWN, BEGIN, END = range(3)

_GROUPED = {
    "hidden_size": HIDDEN,
    "intermediate_size": 2 * HIDDEN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": POSITIONS,
}
_GEMMA = {**_GROUPED, "sliding_window": WINDOW, "query_pre_attn_scalar": HEAD_DIM, "tie_word_embeddings": False}

# Model type and what each family has of its own. Both kinds of output matrix occur: tied to the input's and not.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {**_GROUPED, "tie_word_embeddings": False}),
    "qwen2": ("qwen2", {**_GROUPED, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {**_GROUPED, "tie_word_embeddings": False}),
    "mistral": ("mistral", {**_GROUPED, "sliding_window": WINDOW}),
    "gemma2": ("gemma2", {**_GEMMA, "attn_logit_softcapping": 4.0, "final_logit_softcapping": 20.0}),
    "gemma3": ("gemma3_text", _GEMMA),
    "gpt2": ("gpt2", {"n_embd": HIDDEN, "n_head": HEADS, "n_positions": POSITIONS}),
    "opt": ("opt", {**_GROUPED, "word_embed_proj_dim": HIDDEN, "ffn_dim": 2 * HIDDEN}),
}
WEIGHT_STD = 0.4

_MERGES = ["t h", "h e", "i n", "e r", "a n", "o n", "r e", "Ġ t", "Ġ a", "Ġ s", "Ġ w", "Ġ b", "e d", "o u", "Ġt he", "an d", "in g"]
_CHAT = "{% for m in messages %}{{ '<s>' + m['role'] + ': ' + m['content'] + '</s>' }}{% endfor %}<s>assistant: "


def tiny_model(family: str, folder: Path, seed: int = 0, vocab_size: int = 128, layers: int = 2, **config: Any) -> Path:
    """Write a model of the family to the folder and return the folder. config overrides what the family sets."""
    model_type, own = FAMILIES[family]
    count = {"n_layer" if family == "gpt2" else "num_hidden_layers": layers}
    kinds = {"layer_types": (["sliding_attention", "full_attention"] * layers)[:layers]} if "gemma" in family else {}
    special = {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": END}
    made = AutoConfig.for_model(model_type, **{**own, **kinds, **count, **special, "vocab_size": vocab_size, **config})
    model = AutoModelForCausalLM.from_config(made, dtype=torch.float32)
    _draw(model, seed)
    if "gemma" in family:  # it multiplies them by this before its first layer
        model.get_input_embeddings().weight.data /= HIDDEN**0.5
    with quiet():
        model.save_pretrained(folder)
        tiny_tokenizer(vocab_size).save_pretrained(folder)
    return folder


def _draw(model: torch.nn.Module, seed: int) -> None:
    """All weights anew, in alphabetical order, so that they do not depend on how a class initialises its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.ndim > 1:
                weight.normal_(0, WEIGHT_STD, generator=generator)
            else:
                weight += 0.1 * torch.randn(weight.shape, generator=generator)


def tiny_tokenizer(vocab_size: int = 128) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of at most vocab_size tokens: special ones, bytes, and merges in the order of `_tokens`."""
    tokens, merges = {}, []
    for token, parts in itertools.islice(_tokens(), vocab_size):
        tokens[token] = len(tokens)
        merges += [parts] if parts else []
    backend = Tokenizer(models.BPE(vocab=tokens, merges=merges, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=_CHAT
    )


def _tokens() -> Iterator[tuple[str, tuple[str, str] | None]]:
    """Tokens and what they are merged from, without end in practice."""
    yield from ((token, None) for token in SPECIAL)
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    common = "\n" + "".join(map(chr, range(32, 127))) + "é€你😀"
    seen = list(dict.fromkeys(spell.pre_tokenize_str(common)[0][0]))
    yield from ((byte, None) for byte in seen)
    for merge in _MERGES:
        yield merge.replace(" ", ""), tuple(merge.split())  # type: ignore[misc]
    yield from ((byte, None) for byte in sorted(pre_tokenizers.ByteLevel.alphabet()) if byte not in seen)
    known = {merge.replace(" ", "") for merge in _MERGES}
    yield from ((a + b, (a, b)) for a, b in itertools.product(ascii_lowercase, repeat=2) if a + b not in known)
