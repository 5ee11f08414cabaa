"""Files of prompts and answers: what is read, what is refused, what is taken up again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from covey.cli.jsonl import Answers, Request, read_requests
from covey.engine.statistics import Statistics
from covey.errors import CoveyError
from covey.llm import Completion
from covey.sampling_params import SamplingParams

DEFAULTS = SamplingParams(max_tokens=7)


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def completion(index: int = 0) -> Completion:
    return Completion(0, index, "r0", "text", [1, 2], "stop", None, Statistics())


def test_prompts_messages_ids_and_sampling_are_read(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "b"}]
    path = write(
        tmp_path / "in.jsonl", {"prompt": "a", "task": "qa"}, "", {"messages": messages, "id": 5, "sampling": {"top_k": 3, "stop": "x"}}
    )
    requests, bad = read_requests(path, DEFAULTS)
    assert bad == []
    assert requests == [
        Request(1, "line-1", "a", DEFAULTS, {"task": "qa"}),
        Request(3, 5, messages, SamplingParams(max_tokens=7, top_k=3, stop=("x",))),
    ]


def test_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "a"}\n'))
    requests, _ = read_requests(path, DEFAULTS)
    assert [request.prompt for request in requests] == ["a"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON list: it must be an object"),
        ({}, 'give either "prompt" or "messages"'),
        ({"prompt": "a", "messages": []}, 'give either "prompt" or "messages"'),
        ({"prompt": ""}, "prompt='': prompt must be a text"),
        ({"prompt": 1}, "prompt=1: prompt must be a text"),
        ({"messages": []}, "messages must be a list like"),
        ({"messages": [{"role": "user"}]}, 'each of messages must have a "role" and a "content"'),
        ({"prompt": "a", "id": 1.5}, "id=1.5: id must be a text or a whole number"),
        ({"prompt": "a", "temperature": 1}, 'temperature stands beside the prompt: put it under "sampling"'),
        ({"prompt": "a", "text": "b"}, "key 'text' is one that answers have: rename it"),
        ({"prompt": "a", "sampling": {"temprature": 1}}, "unknown field of sampling 'temprature': did you mean temperature?"),
        ({"prompt": "a", "sampling": {"top_p": 2}}, "top_p=2: top_p must be"),
        ({"prompt": "a", "sampling": [1]}, "sampling must be an object"),
        ({"prompt": "a", "id": "first"}, "id 'first' is that of line 1 too"),
    ],
)
def test_bad_line_is_named_by_number_and_the_others_are_kept(tmp_path: Path, line: object, why: str) -> None:
    path = write(tmp_path / "in.jsonl", {"prompt": "a", "id": "first"}, line, {"prompt": "c"})
    requests, bad = read_requests(path, DEFAULTS)
    assert [request.line for request in requests] == [1, 3]
    assert [found.line for found in bad] == [2]
    assert bad[0].why.startswith(why)


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(CoveyError, match="not a file of UTF-8 text lines"):
        read_requests(tmp_path / "in.jsonl", DEFAULTS)


def requests_for(*ids: str, n: int = 1) -> list[Request]:
    return [Request(number, identity, "p", SamplingParams(n=n)) for number, identity in enumerate(ids, 1)]


def test_answers_hold_what_was_asked_for_and_the_other_keys_of_the_line(tmp_path: Path) -> None:
    request = Request(1, "a", "p", SamplingParams(), {"task": "qa"})
    with Answers(tmp_path / "out.jsonl", [request]) as answers:
        answers.write(request, [completion()])
    (record,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert record.pop("stats") == Statistics().to_dict()
    assert record == {"id": "a", "text": "text", "token_ids": [1, 2], "finish_reason": "stop", "task": "qa"}


@pytest.mark.parametrize("tail", ['{"id": "b", "te', '{"id": "b", "text": "whole but for its line end"}'])
def test_half_written_last_line_is_taken_away(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"id": "a"}\n' + tail)
    with Answers(path, requests_for("a", "b")) as answers:
        assert answers.done == {"a"}
        answers.write(requests_for("a", "b")[1], [completion()])
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "b"]


def test_incomplete_group_of_n_answers_is_taken_away(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", {"id": "a", "index": 0}, {"id": "a", "index": 1}, {"id": "b", "index": 0})
    with Answers(path, requests_for("a", "b", n=2)) as answers:
        assert answers.done == {"a"}
    assert len(path.read_text().splitlines()) == 2


def test_answers_to_prompts_that_are_no_longer_asked_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", {"id": "old"})
    with Answers(path, requests_for("a")) as answers:
        assert answers.done == {"old"}
    assert path.read_text() == '{"id": "old"}\n'


@pytest.mark.parametrize("line", ["something else", "[1]", '{"text": "no id"}'])
def test_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "out.jsonl", line)
    with pytest.raises(CoveyError, match="its line 1 is no answer of covey's; name another file"):
        Answers(path, [])
    assert path.read_text() == line + "\n"
