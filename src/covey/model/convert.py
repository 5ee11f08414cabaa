"""GGUF files, turned into Hugging Face folders that load in seconds (transformers takes 13 to 55 s for a GGUF).

Knows the layout of the file's header, and leaves architectures and quantisation types to transformers. The header
is described in the GGUF specification of the ggml project.

    convert(Path("model.gguf"), Path("folder"))
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from covey.errors import CoveyError
from covey.model.atomic import Report, silent

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_FLOAT_TENSORS = {0: "float32", 1: "float16", 30: "bfloat16"}

# Byte-level vocabularies whose text is split at every digit before anything else. transformers splits at words only,
# which changes the tokens before a number: two line breaks and then "1." are one token and not two.
_DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell"}


@dataclass(frozen=True)
class Header:
    """The scalars and strings of a GGUF's metadata (its arrays are left out), and the ggml types of its matrices."""

    metadata: dict[str, Any]
    matrix_types: frozenset[int]

    @property
    def dtype(self) -> str:
        """What holds the weights without loss; bfloat16 for quantised ones, which have fewer bits than that anyway."""
        floats = [name for number, name in _FLOAT_TENSORS.items() if number in self.matrix_types]
        return floats[0] if floats and self.matrix_types <= _FLOAT_TENSORS.keys() else "bfloat16"


def read_header(path: Path) -> Header:
    """Raises CoveyError when the file is no GGUF, or ends within its header."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise CoveyError(f"target {str(path)!r}: this is not a GGUF file")
        try:
            version, tensors, pairs = _unpack(file, "<IQQ")
            if version not in (2, 3):
                raise CoveyError(f"target {str(path)!r}: GGUF version {version} is not read here, 2 and 3 are: convert the file anew")
            found = {_string(file): _value(file, *_unpack(file, "<I")) for _ in range(pairs)}
            types = {kind for dimensions, kind in (_tensor(file) for _ in range(tensors)) if dimensions > 1}
        except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError) as error:
            raise CoveyError(f"target {str(path)!r}: the GGUF file is cut or damaged: fetch it again") from error
    return Header({k: v for k, v in found.items() if v is not None}, frozenset(types))


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    return file.read(length).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _unpack(file, "<" + _SCALARS[kind])[0]
    element, count = _unpack(file, "<IQ")
    if element in _SCALARS:
        file.seek(count * struct.calcsize("<" + _SCALARS[element]), 1)
    else:
        for _ in range(count):
            _value(file, element)
    return None


def _tensor(file: BinaryIO) -> tuple[int, int]:
    """The number of dimensions and the ggml type of the next tensor."""
    _string(file)
    (dimensions,) = _unpack(file, "<I")
    *_, kind, _offset = _unpack(file, f"<{dimensions}QIQ")
    return dimensions, kind


def convert(gguf: Path, folder: Path, report: Report = silent) -> None:
    """Write the model, its tokenizer and its configuration to a new folder, without quantisation.

    Raises CoveyError when the file is damaged and UnsupportedError when transformers or covey cannot run its model.
    """
    report("dequantise", None)
    header = read_header(gguf)
    # transformers takes seconds to import, and a start that finds its model converted does not come here.
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from covey.model.quiet import quiet
    from covey.model.support import check_config

    place: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with quiet(), _no_bar():
        try:
            config = AutoConfig.from_pretrained(**place)
            check_config(config, str(gguf))
            dtype = getattr(torch, header.dtype)
            loaded: Any = AutoModelForCausalLM.from_pretrained(**place, config=config, dtype=dtype, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(**place)
        except (OSError, ValueError, KeyError, IndexError, RuntimeError, NotImplementedError) as error:
            why = f"transformers cannot read this GGUF file ({one_line(error)})"
            raise CoveyError(f"target {str(gguf)!r}: {why}: fetch it again, or name a Hugging Face folder") from error
        model, loading = loaded
        if missing := sorted(loading["missing_keys"]):
            raise CoveyError(f"target {str(gguf)!r}: the GGUF file lacks {len(missing)} weights, {missing[0]} among them: fetch it again")
        _split_digits(tokenizer, header.metadata.get("tokenizer.ggml.pre"))
        report("write", None)
        # The weights are dequantised by now; with these two left in place transformers would refuse to save them.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    _drop_foreign_tokens(folder / "tokenizer.json", config.vocab_size)


def _drop_foreign_tokens(path: Path, vocab_size: int) -> None:
    """transformers adds GPT-2's end of text to every byte-level vocabulary, with an id that the model does not have."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["id"] < vocab_size]
    path.write_text(json.dumps(saved, ensure_ascii=False), encoding="utf-8")


def _split_digits(tokenizer: Any, kind: str | None) -> None:
    from tokenizers import pre_tokenizers

    if kind in _DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        )


@contextmanager
def _no_bar() -> Iterator[None]:
    """transformers draws one bar that its settings do not reach: it would tear the progress that covey's caller draws."""
    try:
        module: Any = import_module("transformers.modeling_gguf_pytorch_utils")
        drawn = module.tqdm
    except (ImportError, AttributeError):  # another version, which does not draw it in this way
        yield
        return
    module.tqdm = lambda iterable, **_: iterable
    try:
        yield
    finally:
        module.tqdm = drawn


def one_line(error: BaseException, limit: int = 200) -> str:
    """An error of a library in one line."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
