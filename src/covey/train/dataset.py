"""Recordings as batches for training: answers are what is learned, prompts are what they are read after.

Texts of about one length share a batch, so that little of it is padding. Knows nothing of models. Position t of a batch
predicts the token at t + 1, or what the target would have said there where the text is not its own.

    train, held_out = split([recording], max_length=1024, batch_size=8); DataLoader(train, batch_size=1, collate_fn=collate)
"""

from __future__ import annotations

import hashlib
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
_BATCHES_A_HEAP = 16


class Texts(Dataset[list[dict[str, Any]]]):
    """Batches of texts of about one length, cut to max_length tokens: a prompt loses its beginning, an answer its end.

    Which texts share a batch is settled once; a sampler decides which batch comes when. Texts are sorted by length within
    random heaps only: sorted as a whole, a batch would be of one kind of work, and learning half as fast (docs/log.md).
    """

    def __init__(self, texts: list[Text], max_length: int, batch_size: int) -> None:
        self.max_length, self.batch_size = max_length, batch_size
        mixed = sorted(texts, key=lambda text: hashlib.sha256(text.id.encode()).digest())
        heap = _BATCHES_A_HEAP * batch_size
        heaps = [mixed[start : start + heap] for start in range(0, len(mixed), heap)]
        self.texts = [
            text for heap in heaps for text in sorted(heap, key=lambda text: min(len(text.prompt) + len(text.answer), max_length))
        ]

    def _length(self, text: Text) -> int:
        return min(len(text.prompt) + len(text.answer), self.max_length)

    def __len__(self) -> int:
        return -(-len(self.texts) // self.batch_size)

    def __getitem__(self, index: int) -> list[dict[str, Any]]:
        return [self.item(text) for text in self.texts[index * self.batch_size : (index + 1) * self.batch_size]]

    def item(self, text: Text) -> dict[str, Any]:
        """A text, cut: prompt, answer, what the target `said` at the answer's positions, and where there are scores top_ids, top_logprobs
        [answer, top] and gift [tokens, H], at each position what the target left one before."""
        answer = text.answer[: self.max_length - 1]
        prompt = text.prompt[-(self.max_length - len(answer)) :]
        item: dict[str, Any] = {"prompt": prompt, "answer": answer, "said": _learned(text)[: len(answer)]}
        if text.score is not None:
            item["top_ids"] = text.score.top_ids[: len(answer)]
            item["top_logprobs"] = text.score.top_logprobs[: len(answer)]
            first = len(text.prompt) - len(prompt)
            left = text.score.hidden[max(0, first - 1) : first + len(prompt) + len(answer) - 1]
            item["gift"] = left if first else torch.nn.functional.pad(left, (0, 0, 1, 0))
        return item

    @property
    def num_tokens(self) -> int:
        """Tokens that are learned in one epoch."""
        return sum(int((_learned(text)[: self.max_length - 1] != IGNORED).sum()) for text in self.texts)


def _learned(text: Text) -> numpy.ndarray:
    """What the target said at each of the answer's positions, IGNORED behind a token that it would not have said itself.

    Behind such a token it is as surprised as it never is by what it writes, and what is drafted follows what it writes.
    """
    said = text.said
    if text.own:
        return said
    surprised = numpy.append(False, said[:-1] != text.answer[:-1])
    return numpy.where(surprised, IGNORED, said)


def split(recordings: list[Recording], max_length: int, batch_size: int, tasks: tuple[str, ...] | None = None) -> tuple[Texts, Texts]:
    """What is trained on, and about a twentieth that is held out: chosen by prompt id, so that more recording moves nothing.

    tasks: only texts of these.
    """
    texts = [text for recording in recordings for text in recording.texts_of(tasks) if len(text.answer) and len(text.prompt)]
    held_out = [text for text in texts if zlib.crc32(text.id.encode()) % _HELD_OUT == 0]
    trained = [text for text in texts if zlib.crc32(text.id.encode()) % _HELD_OUT]
    if not trained or not held_out:
        raise CoveyError(f"recording: {len(texts)} texts are too few to train on and to hold some out; record more")
    return Texts(trained, max_length, batch_size), Texts(held_out, max_length, batch_size)


def frequent_tokens(texts: Iterable[Text], count: int) -> list[int]:
    """The tokens that the target says most often, at most `count`, in ascending order."""
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update(text.said.tolist())
    return sorted(token for token, _ in seen.most_common(count))


def collate(batches: list[list[dict[str, Any]]]) -> dict[str, Tensor]:
    """input_ids, attention_mask and labels [B, T]; top_ids and top_logprobs [B, T, K], beside the labels that they belong to;
    gift [B, T, H]."""
    items = [item for batch in batches for item in batch]
    length = max(len(item["prompt"]) + len(item["answer"]) for item in items) - 1
    top, width = (items[0][name].shape[1] if name in items[0] else 0 for name in ("top_ids", "gift"))
    batch = {
        "input_ids": torch.zeros(len(items), length, dtype=torch.long),
        "attention_mask": torch.zeros(len(items), length, dtype=torch.long),
        "labels": torch.full((len(items), length), IGNORED, dtype=torch.long),
        "top_ids": torch.zeros(len(items), length, top, dtype=torch.long),
        "top_logprobs": torch.full((len(items), length, top), float("-inf")),
        "gift": torch.zeros(len(items), length, width),
    }
    for row, item in enumerate(items):
        tokens = torch.from_numpy(numpy.concatenate([item["prompt"], item["answer"]]).astype(numpy.int64))
        predicted = slice(len(item["prompt"]) - 1, len(tokens) - 1)
        batch["input_ids"][row, : len(tokens) - 1] = tokens[:-1]
        batch["attention_mask"][row, : len(tokens) - 1] = 1
        batch["labels"][row, predicted] = torch.from_numpy(item["said"].astype(numpy.int64))
        if top:
            batch["top_ids"][row, predicted] = item["top_ids"].long()
            batch["top_logprobs"][row, predicted] = item["top_logprobs"].float()
        if width:
            batch["gift"][row, : len(tokens) - 1] = item["gift"][: len(tokens) - 1].float()
    return batch
