"""A recording as batches for training: the target's answers are what is learned, prompts are what they are read after.

Knows nothing of models. Position t of a batch predicts the token at t + 1.

    train, held_out = split(recording, max_length=1024); DataLoader(train, collate_fn=collate)
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.utils.data import Dataset

from covey.errors import CoveyError
from covey.train.recording import Recording, Text

IGNORED = -100  # the label of positions that predict nothing; transformers' and torch's convention
_HELD_OUT = 20  # one text in so many


class Texts(Dataset[dict[str, Any]]):
    """Texts of a recording, cut to max_length tokens: a prompt loses its beginning, an answer its end."""

    def __init__(self, texts: list[Text], max_length: int) -> None:
        self.texts, self.max_length = texts, max_length

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        text = self.texts[index]
        answer = text.answer[: self.max_length - 1]
        prompt = text.prompt[-(self.max_length - len(answer)) :]
        return {
            "prompt": prompt,
            "answer": answer,
            "top_ids": text.top_ids[: len(answer)],
            "top_logprobs": text.top_logprobs[: len(answer)],
        }

    @property
    def num_tokens(self) -> int:
        """Tokens that are learned in one epoch."""
        return sum(min(len(text.answer), self.max_length - 1) for text in self.texts)


def split(recording: Recording, max_length: int) -> tuple[Texts, Texts]:
    """What is trained on, and about a twentieth that is held out: chosen by prompt id, so that more recording moves nothing."""
    texts = [text for text in recording.texts() if len(text.answer) and len(text.prompt)]
    held_out = [text for text in texts if zlib.crc32(text.id.encode()) % _HELD_OUT == 0]
    trained = [text for text in texts if zlib.crc32(text.id.encode()) % _HELD_OUT]
    if not trained or not held_out:
        raise CoveyError(
            f"recording={str(recording.folder)!r}: its {len(texts)} texts are too few to train on and to hold some out; record more"
        )
    return Texts(trained, max_length), Texts(held_out, max_length)


def frequent_tokens(texts: Iterable[Text], count: int) -> list[int]:
    """The most frequent tokens of the answers, at most `count`, in ascending order."""
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update(text.answer.tolist())
    return sorted(token for token, _ in seen.most_common(count))


def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    """input_ids, attention_mask and labels [B, T]; top_ids and top_logprobs [B, T, K], beside the labels that they belong to."""
    length = max(len(item["prompt"]) + len(item["answer"]) for item in items) - 1
    top = items[0]["top_ids"].shape[1] if items[0]["top_ids"].ndim == 2 else 0
    batch = {
        "input_ids": torch.zeros(len(items), length, dtype=torch.long),
        "attention_mask": torch.zeros(len(items), length, dtype=torch.long),
        "labels": torch.full((len(items), length), IGNORED, dtype=torch.long),
        "top_ids": torch.zeros(len(items), length, top, dtype=torch.long),
        "top_logprobs": torch.full((len(items), length, top), float("-inf")),
    }
    for row, item in enumerate(items):
        tokens = torch.from_numpy(numpy.concatenate([item["prompt"], item["answer"]]).astype(numpy.int64))
        predicted = slice(len(item["prompt"]) - 1, len(tokens) - 1)
        batch["input_ids"][row, : len(tokens) - 1] = tokens[:-1]
        batch["attention_mask"][row, : len(tokens) - 1] = 1
        batch["labels"][row, predicted] = tokens[len(item["prompt"]) :]
        if top:
            batch["top_ids"][row, predicted] = torch.from_numpy(item["top_ids"].astype(numpy.int64))
            batch["top_logprobs"][row, predicted] = torch.from_numpy(item["top_logprobs"].astype(numpy.float32))
    return batch
