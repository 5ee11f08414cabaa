"""A target's own text is recorded once: the same however often it was cut, apart from what is measured on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest

from covey import LLM, SamplingParams
from covey.errors import CoveyError
from covey.train.record import RecordSettings, choose, record
from covey.train.recording import Recording
from tests.bench.samples import line, write


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    lines = [
        line(f"{task}{i}", task, text=f"the bird number {i} of {task}", source=f"{task}_set") for task in ("qa", "code") for i in range(80)
    ]
    return write(tmp_path / "p.jsonl", lines)


def settings(prompts: Path, folder: Path, **options: object) -> RecordSettings:
    return RecordSettings(prompts=prompts, folder=folder, target="toy", max_tokens=12, shard=64, **options)


def contents(recording: Recording) -> list[tuple[object, ...]]:
    return [(t.id, t.task, t.prompt.tolist(), t.answer.tolist(), t.top_ids.tolist(), t.top_logprobs.tolist()) for t in recording.texts()]


def test_a_recording_holds_what_the_target_answers(prompts, tmp_path):
    with LLM("toy") as llm:
        recording = record(llm, settings(prompts, tmp_path / "r", top=3))
        texts = list(recording.texts())
        assert len(texts) == 160
        for text in texts[:3]:
            assert llm.generate(text.prompt.tolist(), SamplingParams(max_tokens=12))[0].token_ids == text.answer.tolist()
            assert text.top_ids.shape == text.top_logprobs.shape == (len(text.answer), 3)
            assert text.top_ids[:, 0].tolist() == text.answer.tolist()
            assert (numpy.diff(text.top_logprobs.astype(float)) <= 0).all()


def test_tasks_take_turns(prompts, tmp_path):
    ids = [p.id for p in choose(settings(prompts, tmp_path, limit=3)).prompts]
    assert ids == ["qa0", "code0", "qa1", "code1", "qa2", "code2"]


def test_a_cut_recording_is_gone_on_with(prompts, tmp_path):
    class Cut(Exception):
        pass

    def cut(step: str, fraction: float | None) -> None:
        raise Cut

    with LLM("toy") as llm:
        whole = contents(record(llm, settings(prompts, tmp_path / "whole")))
        with pytest.raises(Cut):
            record(llm, settings(prompts, tmp_path / "cut"), cut)
        first = tmp_path / "cut" / "00000.safetensors"
        written = first.stat().st_mtime_ns
        assert contents(Recording(tmp_path / "cut")) == whole[:64]
        assert contents(record(llm, settings(prompts, tmp_path / "cut"))) == whole
    assert first.stat().st_mtime_ns == written


def test_another_recording_is_not_mixed_in(prompts, tmp_path):
    with LLM("toy") as llm:
        record(llm, settings(prompts, tmp_path / "r", limit=1))
        with pytest.raises(CoveyError, match="limit=1, not 2"):
            record(llm, settings(prompts, tmp_path / "r", limit=2))


def test_what_is_no_recording_is_refused(tmp_path):
    with pytest.raises(CoveyError, match=r"no readable recording\.json"):
        Recording(tmp_path)
    (tmp_path / "recording.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(CoveyError, match="format is 0"):
        Recording(tmp_path)
    (tmp_path / "recording.json").write_text(json.dumps({"format": 1}))
    (tmp_path / "00000.safetensors").write_bytes(b"junk")
    with pytest.raises(CoveyError, match=r"00000\.safetensors: not a readable shard"):
        list(Recording(tmp_path).texts())


def test_prompts_too_long_for_the_target_are_left_out(tmp_path):
    prompts = write(tmp_path / "p.jsonl", [line("long", text="bird " * 400), line("short", text="bird")])
    with LLM("toy", max_model_len=64) as llm:
        assert [t.id for t in record(llm, settings(prompts, tmp_path / "r")).texts()] == ["short"]


def test_sources_and_overlap_are_left_out(tmp_path):
    words = "one two three four five six seven eight nine ten eleven twelve thirteen"
    prompts = write(
        tmp_path / "p.jsonl",
        [
            line("copy", text=f"Please: {words.title()}!", source="a"),
            line("near", text=words.replace("seven", "7"), source="a"),
            line("short", text="One two", source="a"),
            line("other", text="something else", source="b_1"),
        ],
    )
    apart = write(tmp_path / "dev.jsonl", [line("x", text=f"{words}, fourteen"), line("y", text="one, two.")])
    choice = choose(RecordSettings(prompts=prompts, folder=tmp_path, target="toy", apart_from=apart, leave_out=("b_*",)))
    assert [p.id for p in choice.prompts] == ["near"]
    assert choice.left_out == {"source": 1, "overlap": 2}
    with pytest.raises(CoveyError, match="no prompt is left"):
        choose(RecordSettings(prompts=prompts, folder=tmp_path, target="toy", leave_out=("*",)))
