"""A target's own text is recorded once: the same however often it was cut, apart from what is measured on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from covey import LLM, SamplingParams
from covey.errors import CoveyError
from covey.loops import loop_start
from covey.model.load import load
from covey.train.corpus import build_corpus
from covey.train.dataset import IGNORED, Texts, collate
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
    return RecordSettings(**{"prompts": prompts, "folder": folder, "target": "toy", "max_tokens": 12, "shard": 64, **options})


def contents(recording: Recording) -> list[tuple[object, ...]]:
    return [(t.id, t.task, t.prompt.tolist(), t.answer.tolist()) for t in recording.texts()]


def test_a_recording_holds_what_the_target_answers(prompts, tmp_path):
    with LLM("toy") as llm:
        recording = record(llm, settings(prompts, tmp_path / "r"))
        texts = list(recording.texts())
        assert len(texts) == 160
        for text in texts[:3]:
            assert llm.generate(text.prompt.tolist(), SamplingParams(max_tokens=12))[0].token_ids == text.answer.tolist()
            assert text.score is None


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
    (tmp_path / "recording.json").write_text(json.dumps({"format": 2}))
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


def test_references_are_recorded_as_the_target_would_end_them(tmp_path):
    lines = [
        {**line("a", text="the bird"), "reference": "a small covey"},
        line("b"),
        {**line("c", text="the hill"), "reference": "and " * 40},
    ]
    prompts = write(tmp_path / "p.jsonl", lines)
    with LLM("toy") as llm:
        recording = record(llm, settings(prompts, tmp_path / "r", text="references"))
        texts = {text.id: text.answer.tolist() for text in recording.texts()}
        assert texts == {"a": [*llm.tokenizer.encode("a small covey"), 0], "c": llm.tokenizer.encode("and " * 40)[:12]}
    assert recording.description["left_out"] == {"source": 0, "no reference": 1}
    with pytest.raises(CoveyError, match="text='poems': text must be one of answers, references, prompts"):
        settings(prompts, tmp_path, text="poems")


def test_answers_that_a_corpus_keeps_need_not_be_written_again(prompts, target, tmp_path):
    with LLM("toy") as llm:
        whole = record(llm, settings(prompts, tmp_path / "r"))
        corpus = tmp_path / "c.safetensors"
        build_corpus([whole], max_tokens=300).save(corpus)
        again = record(llm, settings(prompts, tmp_path / "again", answers=corpus))
        entire = record(llm, settings(prompts, tmp_path / "entire", answers=corpus, text="prompts", max_tokens=200))
        with pytest.raises(CoveyError, match="written at temperature=0.0, not 0.7; give that temperature"):
            record(llm, settings(prompts, tmp_path / "warm", answers=corpus, temperature=0.7))
    kept = {text.id: text for text in again.texts()}
    assert 10 < len(kept) < 160 and again.description["left_out"]["no answer"] == 160 - len(kept)
    for text in whole.texts():
        if text.id in kept:
            answer = text.answer.tolist()
            assert kept[text.id].answer.tolist() == answer[: loop_start(answer)] and kept[text.id].own
            assert kept[text.id].prompt.tolist() == text.prompt.tolist()
    for text in entire.texts():  # the prompts, and behind them what the target answered
        assert [*text.prompt, *text.answer] == [*kept[text.id].prompt, *kept[text.id].answer] and len(text.prompt) == 8
    others = write(tmp_path / "others.jsonl", [line("a")])
    with pytest.raises(CoveyError, match="c.safetensors': it is of other prompts than others.jsonl"):
        choose(settings(others, tmp_path, answers=corpus))
    with pytest.raises(CoveyError, match="text='references' wants none"):
        settings(prompts, tmp_path, answers=corpus, text="references")
    with LLM(target, drafters=[], device="cpu") as llm, pytest.raises(CoveyError, match="it is of another vocabulary than"):
        record(llm, settings(prompts, tmp_path / "other", answers=corpus))


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama"))


def test_whole_prompts_are_read_in_one_pass_and_what_is_learned_is_what_the_target_would_have_said(target, tmp_path):
    lines = [{**line("a", text="the bird flies over the hill"), "reference": "a small covey"}, line("b", text="and back again")]
    prompts = write(tmp_path / "p.jsonl", lines)
    with LLM(target, drafters=[], dtype="float64", device="cpu") as llm:
        recording = record(llm, RecordSettings(prompts=prompts, folder=tmp_path / "r", target=target, max_tokens=20, text="prompts", top=4))
        first, second = recording.texts()
        reference = llm.tokenizer.encode("a small covey", add_special_tokens=False)
        whole = [*llm.tokenizer.apply_chat(lines[0]["messages"]), *reference, min(llm.target.end_ids)]
        assert [*first.prompt, *first.answer] == whole[:28] and len(first.prompt) == 8
        params = SamplingParams(max_tokens=1, ignore_eos=True)
        said = [
            llm.generate([[*first.prompt.tolist(), *first.answer[:n].tolist()]], params, progress=False)[0].token_ids[0] for n in range(5)
        ]
    assert first.said[:5].tolist() == said and not first.own
    texts = Texts([second], max_length=64, batch_size=1)
    surprised = [False, *(said != token for said, token in zip(second.said[:-1], second.answer[:-1], strict=True))]
    learned = [IGNORED if so else said for said, so in zip(second.said.tolist(), surprised, strict=True)]
    assert learned.count(IGNORED) > 1 and texts.num_tokens == len(learned) - learned.count(IGNORED)
    assert collate([texts[0]])["labels"][0, len(second.prompt) - 1 :].tolist() == learned


KIND = {"dtype": "float32", "device": "cpu"}


def test_scores_are_what_the_target_thinks_of_every_token(prompts, target, tmp_path):
    """Against transformers itself, for texts of different lengths that share a pass; and they can be added later."""
    longest = write(tmp_path / "long.jsonl", [line(f"p{i}", text="bird " * (1 + 37 * i)) for i in range(6)])
    model = load(target, attention="sdpa", **KIND).model
    with LLM(target, drafters=[], **KIND) as llm:
        record(llm, settings(longest, tmp_path / "r", limit=None))
        assert all(text.score is None for text in Recording(tmp_path / "r").texts())
        recording = record(llm, settings(longest, tmp_path / "r", limit=None, top=3, hidden=True))
        assert llm.target.rows.num_available == llm.target.rows.num_blocks
    for text in recording.texts():
        ids = torch.tensor([[*text.prompt.tolist(), *text.answer.tolist()]])
        with torch.no_grad():
            out = model(ids, output_hidden_states=True)
        expected = out.logits[0, len(text.prompt) - 1 : -1].log_softmax(-1).topk(3)
        assert text.score is not None
        torch.testing.assert_close(text.score.top_logprobs.float(), expected.values, rtol=0, atol=0.01)
        assert (text.score.top_ids == expected.indices).float().mean() > 0.9  # near ties fall either way
        torch.testing.assert_close(text.score.hidden.float(), model.model(ids).last_hidden_state[0].detach(), rtol=0.02, atol=0.02)


def test_scores_that_were_cut_are_gone_on_with_and_others_are_refused(prompts, target, tmp_path):
    class Cut(Exception):
        pass

    def cut(step: str, fraction: float | None) -> None:
        if step == "scoring":
            raise Cut

    asked = settings(prompts, tmp_path / "r", top=2)
    with LLM(target, drafters=[], **KIND) as llm:
        with pytest.raises(Cut):
            record(llm, asked, cut)
        recording = Recording(tmp_path / "r")
        assert [recording.has_scores(number) for number in recording.shards] == [True, False, False]
        record(llm, asked)
        assert all(recording.has_scores(number) for number in recording.shards)
        with pytest.raises(CoveyError, match=r"holds scores with top=2, not 3"):
            record(llm, settings(prompts, tmp_path / "r", top=3))
    with LLM("toy") as llm, pytest.raises(CoveyError, match="target='toy': it tells neither likeliest tokens nor hidden states"):
        record(llm, settings(prompts, tmp_path / "toy", top=2))
