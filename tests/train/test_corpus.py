"""A corpus holds a recording's answers, without the loops that they fall into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest

from covey.drafters.corpus import SEPARATOR, Corpus
from covey.errors import CoveyError
from covey.train.corpus import build_corpus
from covey.train.recording import Recording, Text

DESCRIPTION = {"target": "toy", "vocabulary": "v", "prompts_sha256": "p", "apart_from_sha256": None, "temperature": 0.0}


def text(name: str, answer: list[int], task: str = "qa") -> Text:
    return Text(name, task, numpy.array([50, 51], numpy.int32), numpy.array(answer, numpy.int32))


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    made = Recording.open(tmp_path / "r", DESCRIPTION)
    made.add(0, [text("a", [1, 2, 3]), text("loop", [4, *[5, 6] * 40])])
    made.add(1, [text("b", [7], "code")])
    return made


def test_answers_are_kept_and_loops_cut(recording: Recording) -> None:
    corpus = build_corpus([recording])
    assert corpus.tokens.tolist() == [1, 2, 3, SEPARATOR, 4, 5, 6, SEPARATOR, 7, SEPARATOR]
    assert corpus.description["target"] == "toy"
    assert corpus.vocabulary == "v"
    assert json.loads(corpus.description["prompts"]) == ["a", "loop", "b"]


def test_a_limit_keeps_the_first_answers(recording: Recording) -> None:
    assert build_corpus([recording], max_tokens=4).tokens.tolist() == [1, 2, 3, SEPARATOR]


def test_a_corpus_may_be_of_some_kinds_of_work_alone(recording: Recording) -> None:
    corpus = build_corpus([recording], tasks=("code",))
    assert corpus.tokens.tolist() == [7, SEPARATOR]
    assert corpus.description["tasks"] == "code"
    assert "tasks" not in build_corpus([recording]).description
    with pytest.raises(CoveyError, match="tasks='rhymes': .* holds no text of it; there are code, qa"):
        build_corpus([recording], tasks=("rhymes",))


def test_a_recording_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoveyError, match="holds no text yet"):
        build_corpus([Recording.open(tmp_path / "empty", DESCRIPTION)])


def test_more_recordings_and_an_older_corpus_are_joined(recording: Recording, tmp_path: Path) -> None:
    older = build_corpus([recording], max_tokens=4)
    other = Recording.open(tmp_path / "other", {**DESCRIPTION, "prompts_sha256": "q"})
    other.add(0, [text("c", [8, 9])])
    corpus = build_corpus([other, recording], start=older)
    assert corpus.texts() == [[1, 2, 3], [8, 9], [1, 2, 3], [4, 5, 6], [7]]
    assert json.loads(corpus.description["prompts"]) == ["a", "c", "a", "loop", "b"]
    assert corpus.description["prompts_sha256"] == "p,q"
    assert build_corpus([other, recording], max_tokens=5, start=older).texts() == [[1, 2, 3], [8, 9]]


def test_texts_that_do_not_belong_together_are_refused(recording: Recording, tmp_path: Path) -> None:
    warm = Recording.open(tmp_path / "warm", {**DESCRIPTION, "temperature": 0.7})
    warm.add(0, [text("c", [8, 9])])
    with pytest.raises(CoveyError, match="texts of temperature 0.0 and 0.7; a corpus is of one"):
        build_corpus([recording, warm])
    with pytest.raises(CoveyError, match="does not say its target; make it anew"):
        build_corpus([recording], start=Corpus.of([[1]]))
