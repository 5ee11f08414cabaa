"""A target's own text on disk: prompts, what the target answered, and what it thought of every token.

A folder of shards (safetensors, read through memory maps) and `recording.json`, which says of what target, prompts and
options they are. Beside each shard of texts there may be one of scores: the likeliest tokens, and hidden states. Shards are
whole or absent, so that a recording that was cut goes on where it stood. Knows nothing of how text is generated or
what is made of it.

    recording = Recording(Path("recorded")); [text.answer for text in recording.texts()]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from covey.errors import CoveyError

FORMAT = 2
OWN = "answers"  # the kind of text that is the target's own
DESCRIPTION = "recording.json"
SCORES = "scores.json"


@dataclass(frozen=True)
class Score:
    """What a target thinks of a text.

    top_ids and top_logprobs, [answer tokens, top]: the likeliest tokens at each of the answer's positions and their log
    probabilities before any processing of a request. hidden: last hidden states of prompt and answer, bfloat16 [tokens, H];
    H may be 0.
    """

    top_ids: Tensor
    top_logprobs: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class Text:
    """One prompt and its answer, as token ids; score is None where there is none. own: whether the answer is the target's."""

    id: str
    task: str
    prompt: numpy.ndarray
    answer: numpy.ndarray
    score: Score | None = None
    own: bool = True

    @property
    def said(self) -> numpy.ndarray:
        """What the target says at each of the answer's positions: the answer, where it is its own; else the likeliest token, where
        that is known."""
        if self.own or self.score is None or not self.score.top_ids.shape[1]:
            return self.answer
        likeliest: numpy.ndarray = self.score.top_ids[:, 0].numpy()
        return likeliest


class Recording:
    """A recording, to be read or to be gone on with. Raises CoveyError for a folder that is none, or another one's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description: dict[str, Any] = _read_json(folder / DESCRIPTION) or {}
        if not self.description:
            raise CoveyError(f"recording={str(folder)!r}: no readable {DESCRIPTION} there; make a recording with covey record")
        if self.description.get("format") != FORMAT:
            raise CoveyError(f"recording={str(folder)!r}: its format is {self.description.get('format')!r}, not {FORMAT}; record it anew")
        self.scored: dict[str, Any] = _read_json(folder / SCORES) or {"top": 0, "hidden_size": 0}

    @classmethod
    def open(cls, folder: Path, description: dict[str, Any]) -> Recording:
        """Begin a recording, or go on with the one there, which must have the same description."""
        _agree(folder / DESCRIPTION, {"format": FORMAT, **description}, "a recording")
        return cls(folder)

    def open_scores(self, top: int, hidden_size: int) -> None:
        """Begin scores of so many likeliest tokens and of hidden states of this size, or go on with the ones there."""
        self.scored = _agree(self.folder / SCORES, {"top": top, "hidden_size": hidden_size}, "scores")

    @property
    def shards(self) -> list[int]:
        """The numbers of the shards that are there."""
        return sorted(int(place.stem) for place in self.folder.glob("*.safetensors") if place.stem.isdecimal())

    def has(self, number: int) -> bool:
        return self._place(number).exists()

    def has_scores(self, number: int) -> bool:
        return self._scores_place(number).exists()

    def add(self, number: int, texts: list[Text]) -> None:
        """Write one shard of texts; scores are written by add_scores."""
        parts = [torch.from_numpy(part.astype(numpy.int32)) for text in texts for part in (text.prompt, text.answer)]
        arrays = {"tokens": _joined(parts, torch.int32), "bounds": torch.tensor([0, *accumulate(map(len, parts))])}
        _save(self._place(number), arrays, {"texts": json.dumps([[text.id, text.task] for text in texts])})

    def add_scores(self, number: int, scores: list[Score]) -> None:
        """Write the scores of all texts of a shard, in order."""
        arrays = {
            "top_ids": _joined([score.top_ids for score in scores], torch.int32),
            "top_logprobs": _joined([score.top_logprobs for score in scores], torch.float16),
            "hidden": _joined([score.hidden for score in scores], torch.bfloat16),
        }
        _save(self._scores_place(number), arrays, {})

    def texts(self, shards: list[int] | None = None) -> Iterator[Text]:
        """All texts, or those of some shards, shard by shard; arrays are views of memory maps."""
        for number in self.shards if shards is None else shards:
            yield from self._read(number)

    def texts_of(self, tasks: tuple[str, ...] | None) -> Iterator[Text]:
        """All texts of these tasks; None means all. Raises CoveyError for a task that there is no text of."""
        seen: set[str] = set()
        for text in self.texts():
            seen.add(text.task)
            if tasks is None or text.task in tasks:
                yield text
        if missing := [task for task in tasks or () if task not in seen]:
            raise CoveyError(f"tasks={missing[0]!r}: {self.folder} holds no text of it; there are {', '.join(sorted(seen))}")

    def _read(self, number: int) -> Iterator[Text]:
        place = self._place(number)
        try:
            with safe_open(place, "pt") as shard:
                names = json.loads(shard.metadata()["texts"])
                tokens, bounds = shard.get_tensor("tokens").numpy(), shard.get_tensor("bounds").tolist()
            scores = _read_scores(self._scores_place(number), bounds) if self.has_scores(number) else [None] * len(names)
        except Exception as error:  # safetensors raises its own
            raise CoveyError(f"{place}: not a readable shard ({error}); delete it and record again") from None
        parts = [tokens[a:b] for a, b in pairwise(bounds)]
        for (name, task), prompt, answer, score in zip(names, parts[::2], parts[1::2], scores, strict=True):
            yield Text(name, task, prompt, answer, score, self.description.get("text", OWN) == OWN)

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:05d}.safetensors"

    def _scores_place(self, number: int) -> Path:
        return self.folder / f"{number:05d}.scores.safetensors"


def _read_scores(place: Path, bounds: list[int]) -> list[Score | None]:
    """bounds: where prompts and answers of the shard begin and end, prompt and answer in turn."""
    with safe_open(place, "pt") as shard:
        top_ids, top_logprobs, hidden = (shard.get_tensor(name) for name in ("top_ids", "top_logprobs", "hidden"))
    scores: list[Score | None] = []
    at = 0
    for begin, answer, end in zip(bounds[:-1:2], bounds[1::2], bounds[2::2], strict=True):
        stop = at + end - answer
        scores.append(Score(top_ids[at:stop], top_logprobs[at:stop], hidden[begin:end]))
        at = stop
    return scores


def _joined(parts: list[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat(parts).to(dtype) if parts else torch.zeros(0, dtype=dtype)


def _save(place: Path, arrays: dict[str, Tensor], metadata: dict[str, str]) -> None:
    partial = place.with_name(f".{place.name}.partial")
    save_file(arrays, partial, metadata=metadata)
    partial.replace(place)


def _read_json(place: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(place.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _agree(place: Path, description: dict[str, Any], what: str) -> dict[str, Any]:
    """Write a description, or check that the one there is the same."""
    wanted: dict[str, Any] = json.loads(json.dumps(description))
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.partial")
        partial.write_text(json.dumps(wanted, indent=1), "utf-8")
        partial.replace(place)
    found = _read_json(place) or {}
    for name in sorted({*wanted, *found}):
        if found.get(name) != wanted.get(name):
            raise CoveyError(
                f"{place.parent}: holds {what} with {name}={found.get(name)!r}, not {wanted.get(name)!r}; "
                "name another folder or the same options"
            )
    return found
