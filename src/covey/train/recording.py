"""A target's own text on disk: prompts, what the target answered, and how likely it found its words.

A folder of shards (safetensors, read through memory maps) and `recording.json`, which says of what target, prompts and
options they are. Shards are whole or absent, so that a recording that was cut goes on where it stood. Knows nothing of
how text is generated or what is made of it.

    recording = Recording(Path("recorded")); [text.answer for text in recording.texts()]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file

from covey.errors import CoveyError

FORMAT = 1
DESCRIPTION = "recording.json"


@dataclass(frozen=True)
class Text:
    """One prompt and its answer, as token ids.

    top_ids and top_logprobs, [answer tokens, top]: the likeliest tokens at each of the answer's positions and their log
    probabilities before any processing of the request; top may be 0.
    """

    id: str
    task: str
    prompt: numpy.ndarray
    answer: numpy.ndarray
    top_ids: numpy.ndarray
    top_logprobs: numpy.ndarray


class Recording:
    """A recording, to be read or to be gone on with. Raises CoveyError for a folder that is none, or another one's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        except (OSError, ValueError):
            raise CoveyError(f"recording={str(folder)!r}: no readable {DESCRIPTION} there; make a recording with covey record") from None
        if self.description.get("format") != FORMAT:
            raise CoveyError(f"recording={str(folder)!r}: its format is {self.description.get('format')!r}, not {FORMAT}; record it anew")

    @classmethod
    def open(cls, folder: Path, description: dict[str, Any]) -> Recording:
        """Begin a recording, or go on with the one there, which must have the same description."""
        place = folder / DESCRIPTION
        description = {"format": FORMAT, **json.loads(json.dumps(description))}
        if not place.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(place, lambda partial: partial.write_text(json.dumps(description, indent=1), "utf-8"))
        recording = cls(folder)
        for name in sorted({*description, *recording.description}):
            if (held := recording.description.get(name)) != (wanted := description.get(name)):
                raise CoveyError(
                    f"{folder}: holds a recording with {name}={held!r}, not {wanted!r}; name another folder or the same options"
                )
        return recording

    def has(self, number: int) -> bool:
        return self._place(number).exists()

    def add(self, number: int, texts: list[Text]) -> None:
        """Write one shard."""
        arrays = {
            "tokens": _joined([part for text in texts for part in (text.prompt, text.answer)], numpy.int32),
            "bounds": numpy.cumsum([0] + [len(part) for text in texts for part in (text.prompt, text.answer)], dtype=numpy.int64),
            "top_ids": _joined([text.top_ids for text in texts], numpy.int32),
            "top_logprobs": _joined([text.top_logprobs for text in texts], numpy.float16),
        }
        names = json.dumps([[text.id, text.task] for text in texts])
        _write_whole(self._place(number), lambda partial: save_file(arrays, partial, metadata={"texts": names}))

    def texts(self) -> Iterator[Text]:
        """All texts, shard by shard."""
        for place in sorted(self.folder.glob("*.safetensors")):
            yield from _read(place)

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:05d}.safetensors"


def _joined(parts: list[numpy.ndarray], dtype: type) -> numpy.ndarray:
    return numpy.concatenate(parts).astype(dtype) if parts else numpy.zeros(0, dtype)


def _write_whole(place: Path, write: Any) -> None:
    partial = place.with_name(f".{place.name}.partial")
    write(partial)
    partial.replace(place)


def _read(place: Path) -> Iterator[Text]:
    try:
        with safe_open(place, "numpy") as shard:
            names = json.loads(shard.metadata()["texts"])
            tokens, bounds = shard.get_tensor("tokens"), shard.get_tensor("bounds").tolist()
            top_ids, top_logprobs = shard.get_tensor("top_ids"), shard.get_tensor("top_logprobs")
    except Exception as error:  # safetensors raises its own
        raise CoveyError(f"{place}: not a readable shard ({error}); delete it and record again") from None
    parts = [tokens[a:b] for a, b in pairwise(bounds)]
    at = 0
    for (name, task), prompt, answer in zip(names, parts[::2], parts[1::2], strict=True):
        yield Text(name, task, prompt, answer, top_ids[at : at + len(answer)], top_logprobs[at : at + len(answer)])
        at += len(answer)
