"""Prompt files are read whole, or refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from covey.errors import CoveyError
from covey.prompts import read_prompts
from tests.bench.samples import line, write


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_plain_and_packed_files_are_read(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [line("a", reference="x", source="y"), "", line("b", "code")])
    first, second = read_prompts(path)
    assert (first.id, first.task, first.messages) == ("a", "qa", ({"role": "user", "content": "hello"},))
    assert (second.id, second.task) == ("b", "code")
    assert (first.source, second.source) == ("y", "")


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "a", "task": "qa", "messages": [{"role": "user", "content": "one\u2028two\x85"}]}\r\n', encoding="utf-8")
    assert read_prompts(path)[0].messages[0]["content"] == "one\u2028two\x85"


def test_tasks_choose(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", [line("a", "qa"), line("b", "code"), line("c", "math")])
    assert [prompt.id for prompt in read_prompts(path, ("math", "qa"))] == ["a", "c"]
    with pytest.raises(CoveyError, match=r"tasks='chat'.*qa, code, math"):
        read_prompts(path, ("chat",))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        (line(""), "id"),
        (line("x", task=""), "task"),
        ({"id": "x", "task": "qa"}, "messages"),
        ({"id": "x", "task": "qa", "messages": []}, "messages"),
        ({"id": "x", "task": "qa", "messages": [{"role": "user"}]}, "messages"),
        ({"id": "x", "task": "qa", "messages": [{"role": "assistant", "content": "hi"}]}, "user"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: Any, says: str) -> None:
    path = write(tmp_path / "p.jsonl", [line("a"), bad])
    with pytest.raises(CoveyError, match=f"line 2.*{says}"):
        read_prompts(path)


def test_bad_lines_can_be_skipped_and_are_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    path = write(tmp_path / "p.jsonl", [line("a"), "{", line("a"), line("b")])
    assert [prompt.id for prompt in read_prompts(path, skipped=told.append)] == ["a", "b"]
    assert [said.split(":")[0].split(", ")[-1] for said in told] == ["line 2", "line 3"]


def test_a_file_that_is_missing_empty_or_no_gzip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoveyError, match="no such file"):
        read_prompts(tmp_path / "none.jsonl")
    with pytest.raises(CoveyError, match="no prompt"):
        read_prompts(write(tmp_path / "empty.jsonl", []))
    (tmp_path / "bad.jsonl.gz").write_text("plain")
    with pytest.raises(CoveyError, match="cannot be read"):
        read_prompts(tmp_path / "bad.jsonl.gz")


def test_an_id_stands_once(tmp_path: Path) -> None:
    with pytest.raises(CoveyError, match=r"'a' stands twice"):
        read_prompts(write(tmp_path / "p.jsonl", [line("a"), line("a")]))
