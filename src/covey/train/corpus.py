"""Makes a corpus for suffix drafting of recordings: the target's answers, without its repetition loops.

build_corpus([Recording(Path("recorded"))]).save(Path("corpus.safetensors"))
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from covey.drafters.corpus import Corpus
from covey.errors import CoveyError
from covey.loops import loop_start
from covey.train.recording import Recording

_OF_ONE_KIND = ("target", "vocabulary", "temperature")  # what all texts of a corpus have in common
_SEVERAL = ("prompts_sha256", "apart_from_sha256")  # what each recording has its own of, joined by commas


def build_corpus(
    recordings: Sequence[Recording], max_tokens: int | None = None, tasks: tuple[str, ...] | None = None, start: Corpus | None = None
) -> Corpus:
    """All answers, or those of some tasks, or the first ones that have at most `max_tokens` tokens together; prompts are not kept.

    start: a corpus whose texts come first. A loop is cut off where it begins to repeat: a sequence that loops has it in its own text, and
    others must not count it. Raises CoveyError where texts are not of one target, vocabulary and temperature, or there are none.
    """
    described = [{name: str(recording.description[name]) for name in (*_OF_ONE_KIND, *_SEVERAL)} for recording in recordings]
    texts = [text for recording in recordings for text in _answers(recording, tasks)]
    if start is not None:
        if missing := [name for name in (*_OF_ONE_KIND, *_SEVERAL, "prompts") if name not in start.description]:
            raise CoveyError(f"start: the corpus does not say its {missing[0]}; make it anew with covey corpus")
        described.insert(0, start.description)
        texts[:0] = zip(json.loads(start.description["prompts"]), start.texts(), strict=True)
    texts = list(_within(texts, max_tokens))
    corpus = Corpus.of(
        [answer for _, answer in texts],
        {
            **{name: _common(name, described) for name in _OF_ONE_KIND},
            **{name: ",".join(dict.fromkeys(part for each in described for part in each[name].split(","))) for name in _SEVERAL},
            **({"tasks": ",".join(tasks)} if tasks else {}),
            "prompts": json.dumps([name for name, _ in texts]),  # whose answers they are, in order
        },
    )
    if not len(corpus):
        raise CoveyError(f"recording={str(recordings[0].folder)!r}: it holds no text yet")
    return corpus


def _common(name: str, described: list[dict[str, str]]) -> str:
    values = list(dict.fromkeys(each[name] for each in described))
    if len(values) > 1:
        raise CoveyError(f"recording: texts of {name} {values[0]} and {values[1]}; a corpus is of one: leave the others out")
    return values[0]


def _answers(recording: Recording, tasks: tuple[str, ...] | None) -> Iterator[tuple[str, list[int]]]:
    for text in recording.texts_of(tasks):
        answer = text.answer.tolist()
        yield text.id, answer[: loop_start(answer)]


def _within(texts: list[tuple[str, list[int]]], max_tokens: int | None) -> Iterator[tuple[str, list[int]]]:
    total = 0
    for name, answer in texts:
        total += len(answer)
        if max_tokens is not None and total > max_tokens:
            return
        yield name, answer
