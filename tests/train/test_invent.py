"""Prompts that a target writes itself: behind a user's first words, the same however often they were cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey import LLM
from covey.errors import CoveyError
from covey.prompts import read_prompts
from covey.train import invent as module
from covey.train.invent import Beginning, InventSettings, invent, read_beginnings, user_turn
from covey.train.record import RecordSettings, record


def settings(output: Path, **options: object) -> InventSettings:
    return InventSettings(**{"output": output, "count": 40, "shard": 8, "max_tokens": 300, "temperature": 2.0, **options})


def begun(path: Path, lines: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def llm():
    with LLM("toy") as opened:
        yield opened


def test_prompts_can_be_read_and_recorded(llm, tmp_path):
    written = invent(llm, settings(tmp_path / "own.jsonl"))
    assert written == read_prompts(tmp_path / "own.jsonl")
    assert len({prompt.messages[0]["content"] for prompt in written}) == len(written) > 1
    recording = record(llm, RecordSettings(prompts=tmp_path / "own.jsonl", folder=tmp_path / "r", target="toy", max_tokens=8))
    assert {text.id for text in recording.texts()} == {prompt.id for prompt in written}


def test_prompts_begin_as_told_and_tasks_take_turns(llm, tmp_path):
    told = [{"task": "code", "beginning": "write a "}, {"task": "qa", "beginning": "who "}, {"task": "code", "beginning": "fix the "}]
    written = invent(llm, settings(tmp_path / "own.jsonl", beginnings=begun(tmp_path / "b.jsonl", told)))
    for prompt in written:
        known = [line["beginning"].strip() for line in told if line["task"] == prompt.task]
        assert prompt.messages[0]["content"].startswith(tuple(known))
    assert [b.text for b in read_beginnings(tmp_path / "b.jsonl")] == ["write a ", "who ", "fix the ", "who "]


def test_a_file_that_was_cut_is_gone_on_with(llm, tmp_path, monkeypatch):
    whole = invent(llm, settings(tmp_path / "whole.jsonl"))
    calls = []
    write = module._write

    def cut(output: Path, lines: list[dict[str, object]]) -> None:
        write(output, lines)
        calls.append(len(lines))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write", cut)
    with pytest.raises(KeyboardInterrupt):
        invent(llm, settings(tmp_path / "cut.jsonl"))
    assert 0 < calls[-1] < len(whole)
    assert invent(llm, settings(tmp_path / "cut.jsonl")) == whole
    assert 5 <= len(calls) <= 6  # of the two shards that were there only what was left out at their end is tried again


def test_more_can_be_asked_for_later(llm, tmp_path):
    whole = invent(llm, settings(tmp_path / "whole.jsonl"))
    invent(llm, settings(tmp_path / "more.jsonl", count=13))
    assert invent(llm, settings(tmp_path / "more.jsonl")) == whole


def test_a_prompt_may_hold_what_python_takes_for_the_end_of_a_line(llm, tmp_path):
    told = begun(tmp_path / "b.jsonl", [{"task": "qa", "beginning": "one\u2028two\x85three "}])
    told.write_text(told.read_text("utf-8").replace("\\u2028", "\u2028"), "utf-8")
    invent(llm, settings(tmp_path / "own.jsonl", count=8, beginnings=told))
    more = invent(llm, settings(tmp_path / "own.jsonl", beginnings=told))
    assert more == read_prompts(tmp_path / "own.jsonl") and "\u2028" in more[0].messages[0]["content"]


def test_prompts_of_other_settings_are_not_mixed(llm, tmp_path):
    invent(llm, settings(tmp_path / "own.jsonl"))
    with pytest.raises(CoveyError, match="other settings"):
        invent(llm, settings(tmp_path / "own.jsonl", seed=1))
    for content in ("a poem\n", "[]\n", '{"id": 1}\n'):
        (tmp_path / "else.jsonl").write_text(content, "utf-8")
        with pytest.raises(CoveyError, match="else.jsonl': it holds prompts of other settings, or something else"):
            invent(llm, settings(tmp_path / "else.jsonl"))
        assert (tmp_path / "else.jsonl").read_text("utf-8") == content


def test_prompts_that_are_never_ended_are_an_error(llm, tmp_path):
    with pytest.raises(CoveyError, match="ended none within 1 tokens"):
        invent(llm, settings(tmp_path / "own.jsonl", max_tokens=1, count=2))


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"task": "code"}', '{"task": "", "beginning": "a"}', '{"task": "a", "beginning": 1}'])
def test_a_bad_beginning_is_named(tmp_path, line):
    (tmp_path / "b.jsonl").write_text('{"task": "qa", "beginning": "who"}\n' + line + "\n", "utf-8")
    with pytest.raises(CoveyError, match="line 2"):
        read_beginnings(tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").write_text("\n", "utf-8")
    with pytest.raises(CoveyError, match="holds none"):
        read_beginnings(tmp_path / "b.jsonl")
    assert read_beginnings(None) == [Beginning("any", "")]


def test_the_turn_is_the_chat_templates(llm):
    before, end = user_turn(llm)
    assert llm.tokenizer.decode(before) == "user:"
    assert llm.tokenizer.apply_chat([{"role": "user", "content": "a"}])[: len(before) + 2][-1] == end


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("shard", 0), ("max_tokens", 0), ("temperature", 0.0)])
def test_impossible_settings_are_named(tmp_path, name, value):
    with pytest.raises(CoveyError, match=f"{name}={value}"):
        settings(tmp_path / "own.jsonl", **{name: value})
