"""Files of prompts and of answers: JSON Lines, read with line numbers in every complaint, and taken up again where a run ended.

An input line holds "prompt" (text) or "messages" (chat), and may hold "id" and "sampling" (fields of SamplingParams);
other keys are carried into the answer. Knows nothing of how answers are made.

    requests, bad = read_requests(Path("in.jsonl"), SamplingParams())
    with Answers(Path("out.jsonl"), requests) as answers: answers.write(request, completions)
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from covey.config import ConfigError, unknown
from covey.errors import CoveyError
from covey.sampling_params import SamplingParams
from covey.types import Message

if TYPE_CHECKING:
    from covey.llm import Completion

Id = str | int
_OURS = ("id", "prompt", "messages", "sampling")
_ANSWER = ("index", "text", "token_ids", "finish_reason", "stats", "logprobs")
_SAMPLING = tuple(f.name for f in dataclasses.fields(SamplingParams))


@dataclass(frozen=True)
class Request:
    """One line of the input. Without an id of its own it has "line-N"."""

    line: int
    id: Id
    prompt: str | list[Message]
    params: SamplingParams
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BadLine:
    """A line that cannot be answered, and why."""

    line: int
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}"


def read_requests(path: Path, defaults: SamplingParams) -> tuple[list[Request], list[BadLine]]:
    """All good lines and all bad ones. Empty lines are skipped. Raises CoveyError when the file cannot be read."""
    requests: list[Request] = []
    bad: list[BadLine] = []
    seen: dict[Id, int] = {}
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    request = _request(number, line, defaults)
                    if request.id in seen:
                        raise ValueError(f"id {request.id!r} is that of line {seen[request.id]} too: give each line its own")
                except (ValueError, RecursionError) as error:
                    bad.append(BadLine(number, str(error)))
                    continue
                seen[request.id] = number
                requests.append(request)
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise CoveyError(f"{path}: not a file of UTF-8 text lines ({error})") from None
    return requests, bad


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _request(number: int, line: str, defaults: SamplingParams) -> Request:
    """Raises ValueError saying what is wrong with the line."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(data, dict):
        raise ValueError(f'a JSON {type(data).__name__}: it must be an object like {{"prompt": "..."}}')
    extra = {key: value for key, value in data.items() if key not in _OURS}
    for key in extra:
        if key in _SAMPLING:
            raise ValueError(f'{key} stands beside the prompt: put it under "sampling"')
        if key in _ANSWER:
            raise ValueError(f"key {key!r} is one that answers have: rename it")
    if ("prompt" in data) == ("messages" in data):
        raise ValueError('give either "prompt" or "messages"')
    identity = data.get("id", f"line-{number}")
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise ValueError(f"id={identity!r}: id must be a text or a whole number")
    prompt = _text(data["prompt"]) if "prompt" in data else _messages(data["messages"])
    return Request(number, identity, prompt, _params(data.get("sampling"), defaults), extra)


def _text(prompt: object) -> str:
    if not isinstance(prompt, str) or not prompt:
        raise ValueError(f"prompt={prompt!r}: prompt must be a text, and not an empty one")
    return prompt


def _messages(messages: object) -> list[Message]:
    if not isinstance(messages, list) or not messages:
        raise ValueError('messages must be a list like [{"role": "user", "content": "..."}]')
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"} or not all(isinstance(v, str) for v in message.values()):
            raise ValueError('each of messages must have a "role" and a "content", both texts, and nothing else')
    return messages


def _params(given: object, defaults: SamplingParams) -> SamplingParams:
    if given is None:
        return defaults
    if not isinstance(given, dict):
        raise ValueError('sampling must be an object like {"temperature": 0.7}')
    for name in given:
        if name not in _SAMPLING:
            raise unknown("field of sampling", name, _SAMPLING)
    return dataclasses.replace(defaults, **given)


def answer_record(request: Request | None, completion: Completion, params: SamplingParams) -> dict[str, Any]:
    """An answer as JSON holds it."""
    record: dict[str, Any] = {"id": request.id} if request is not None else {}
    if params.n > 1:
        record["index"] = completion.index
    record |= {"text": completion.text, "token_ids": completion.token_ids, "finish_reason": completion.finish_reason}
    if completion.logprobs is not None:
        record["logprobs"] = [dataclasses.asdict(logprob) for logprob in completion.logprobs]
    record["stats"] = completion.stats.to_dict()
    return record | (request.extra if request is not None else {})


class Answers:
    """The output file: knows which requests it already answers, and adds to it.

    A run that was cut off can leave half a line, or some but not all of the n answers to a prompt, at the end of the
    file: both are taken away, and the prompt is answered again. Raises CoveyError for a file that is none of ours.
    """

    def __init__(self, path: Path, requests: list[Request]) -> None:
        self.done: set[Id] = set()
        self._expected = {request.id: request.params.n for request in requests}
        if path.exists():
            keep = self._recover(path)
            with path.open("r+b") as file:
                file.truncate(keep)
        self._file = path.open("a", encoding="utf-8")

    def _recover(self, path: Path) -> int:
        """Read what is there; returns how many bytes of it are whole answers."""
        counts: Counter[Id] = Counter()
        whole = at = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # only the last line can be half written
                    break
                identity = _identity(path, number, line)
                at += len(line)
                counts[identity] += 1
                if counts[identity] >= self._expected.get(identity, 1):
                    self.done.add(identity)
                    whole = at
        return whole

    def write(self, request: Request, completions: list[Completion]) -> None:
        """Add the answers to one request, in one piece."""
        records = [answer_record(request, completion, request.params) for completion in completions]
        self._file.write("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
        self._file.flush()
        self.done.add(request.id)

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def _identity(path: Path, number: int, line: bytes) -> Id:
    try:
        identity = json.loads(line)["id"]
        if isinstance(identity, str | int):
            return identity
    except (ValueError, TypeError, KeyError):
        pass
    raise ConfigError(f"output={str(path)!r}: its line {number} is no answer of covey's; name another file, or move this one away")
