"""Engines of several drafters over one target."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.bench import BenchSettings
from covey.bench.methods import Engines
from covey.errors import CoveyError
from tests.model.tiny import tiny_model

PROMPTS = [[5, 9, 11, 30, 5, 9, 11, 30, 5], [40, 41, 42]]


def settings(folder: Path, *methods: str, batch: int = 2) -> BenchSettings:
    return BenchSettings(
        prompts=Path("unused"),
        target=str(folder),
        drafters=("suffix",),
        methods=methods,
        batch=(batch,),
        max_tokens=20,
        dtype="float64",
        device="cpu",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("methods"))


def test_methods_of_different_drafters_share_a_target_and_its_text(folder: Path) -> None:
    own = f"model:{folder}:fixed-3"
    chosen = settings(folder, "plain", "fixed-4", own)
    with Engines(chosen) as engines:
        methods = {name.name: engines.method(name) for name in chosen.method_names}
        assert engines.method(chosen.method_names[2])._llm.target is engines.first.target  # type: ignore[attr-defined]
        for _ in range(2):  # in turns, as they are measured
            answers = {name: method.answer(PROMPTS) for name, method in methods.items()}
            assert answers["plain"].outputs == answers["fixed-4"].outputs == answers[own].outputs
    whole = {name: answer.passes.whole for name, answer in answers.items() if answer.passes}
    assert whole["plain"].drafts == 0
    assert whole[own].acceptance_rate > 0.7  # the target drafts for itself; a branch may stand for its third token


def test_seconds_are_those_of_the_call(folder: Path) -> None:
    chosen = settings(folder, "plain")
    with Engines(chosen) as engines:
        answer = engines.method(chosen.method_names[0]).answer(PROMPTS)
    assert answer.passes is not None
    assert 0 < answer.passes.decode.seconds < answer.passes.whole.seconds <= answer.seconds
    assert answer.counts == tuple(map(len, answer.outputs or ()))


def test_a_drafter_that_does_not_exist_is_refused(folder: Path) -> None:
    chosen = settings(folder, "plain", "fixed-2", "oracle:fixed-2")
    with Engines(chosen) as engines, pytest.raises(CoveyError, match="oracle"):
        engines.method(chosen.method_names[2])
