"""Makes a corpus for suffix drafting of a recording: the target's answers, without its repetition loops.

build_corpus(Recording(Path("recorded"))).save(Path("corpus.safetensors"))
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from covey.drafters.corpus import Corpus
from covey.errors import CoveyError
from covey.loops import loop_start
from covey.train.recording import Recording


def build_corpus(recording: Recording, max_tokens: int | None = None, tasks: tuple[str, ...] | None = None) -> Corpus:
    """All answers, or those of some tasks, or the first ones that have at most `max_tokens` tokens together; prompts are not kept.

    A loop is cut off where it begins to repeat: a sequence that loops has it in its own text, and others must not count it.
    """
    description = recording.description
    texts = list(_answers(recording, max_tokens, tasks))
    corpus = Corpus.of(
        [answer for _, answer in texts],
        {
            **{name: str(description[name]) for name in ("target", "vocabulary", "prompts_sha256", "apart_from_sha256", "temperature")},
            **({"tasks": ",".join(tasks)} if tasks else {}),
            "prompts": json.dumps([name for name, _ in texts]),  # whose answers they are, in order
        },
    )
    if not len(corpus):
        raise CoveyError(f"recording={str(recording.folder)!r}: it holds no text yet")
    return corpus


def _answers(recording: Recording, max_tokens: int | None, tasks: tuple[str, ...] | None) -> Iterator[tuple[str, list[int]]]:
    total = 0
    for text in recording.texts_of(tasks):
        answer = text.answer.tolist()
        answer = answer[: loop_start(answer)]
        total += len(answer)
        if max_tokens is not None and total > max_tokens:
            return
        yield text.id, answer
