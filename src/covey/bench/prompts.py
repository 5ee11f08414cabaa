"""Reads a prompt file, chooses prompts by task, and forms the groups that are answered together.

A line of the file is a JSON object with `id`, `task` and `messages` (chat turns, the last one the user's); other keys,
such as `reference` and `source`, are not read. Knows nothing of models: how to encode a prompt is handed in.

    prompts = read_prompts(Path("dev.jsonl.gz"), tasks=("code",))
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from covey.errors import CoveyError
from covey.types import Message


@dataclass(frozen=True)
class BenchPrompt:
    """A prompt as the file has it."""

    id: str
    task: str
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as every method gets it."""

    id: str
    task: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Prompts of one task that are submitted together: the unit that is measured. Its name is unique in a run."""

    name: str
    task: str
    prompts: tuple[EncodedPrompt, ...]

    @property
    def batch(self) -> int:
        return len(self.prompts)


@dataclass(frozen=True)
class Selection:
    """The prompts of a run, and those that were passed over because they are too long: (id, its tokens)."""

    prompts: tuple[EncodedPrompt, ...]
    left_out: tuple[tuple[str, int], ...]


def read_prompts(path: Path, tasks: tuple[str, ...] | None = None) -> list[BenchPrompt]:
    """All prompts of these tasks, in the file's order. Raises CoveyError naming file and line."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except FileNotFoundError:
        raise CoveyError(f"prompts={str(path)!r}: no such file") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CoveyError(f"prompts={str(path)!r}: cannot be read ({error}); give a .jsonl or .jsonl.gz file") from None
    found = [_prompt(path, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    ids: set[str] = set()
    for prompt in found:
        if prompt.id in ids:
            raise CoveyError(f"{path}: the id {prompt.id!r} stands twice; give every prompt its own")
        ids.add(prompt.id)
    known = list(dict.fromkeys(prompt.task for prompt in found))
    if missing := [task for task in tasks or () if task not in known]:
        raise CoveyError(f"tasks={missing[0]!r}: {path} has no such task; it has {', '.join(known)}")
    chosen = [prompt for prompt in found if tasks is None or prompt.task in tasks]
    if not chosen:
        raise CoveyError(f"prompts={str(path)!r}: the file holds no prompt")
    return chosen


def _prompt(path: Path, number: int, line: str) -> BenchPrompt:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise CoveyError(f"{path}, line {number}: not JSON ({error}); every line must be one object") from None
    if not isinstance(data, dict):
        raise CoveyError(f"{path}, line {number}: not an object; it must have id, task and messages")
    for name in ("id", "task"):
        if not isinstance(data.get(name), str) or not data[name]:
            raise CoveyError(f"{path}, line {number}: {name}={data.get(name)!r}: {name} must be a text")
    messages = data.get("messages")
    right = isinstance(messages, list) and messages and all(_is_message(message) for message in messages)
    if not isinstance(messages, list) or not right or messages[-1]["role"] != "user":
        raise CoveyError(f"{path}, line {number}: messages must be chat turns with role and content, the last one the user's")
    return BenchPrompt(data["id"], data["task"], tuple({"role": m["role"], "content": m["content"]} for m in messages))


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)


def file_digest(path: Path) -> str:
    """SHA-256 of the file, so that a result says which prompts it is of."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def select(prompts: list[BenchPrompt], encode: Callable[[list[Message]], list[int]], longest: int, limit: int | None) -> Selection:
    """The first `limit` prompts of each task that have at most `longest` tokens. Raises CoveyError if a task has none."""
    chosen: list[EncodedPrompt] = []
    left_out: list[tuple[str, int]] = []
    for task in dict.fromkeys(prompt.task for prompt in prompts):
        taken: list[EncodedPrompt] = []
        for prompt in (p for p in prompts if p.task == task):
            if limit is not None and len(taken) == limit:
                break
            ids = tuple(encode([dict(message) for message in prompt.messages]))
            if len(ids) <= longest:
                taken.append(EncodedPrompt(prompt.id, task, ids))
            else:
                left_out.append((prompt.id, len(ids)))
        if not taken:
            raise CoveyError(f"tasks={task!r}: its prompts all have more than {longest} tokens; raise max_model_len, or leave it out")
        chosen += taken
    return Selection(tuple(chosen), tuple(left_out))


def make_groups(prompts: tuple[EncodedPrompt, ...], batch: int) -> list[Group]:
    """Full groups of `batch` prompts of one task; the rest of a task is left out, so that all groups load a system alike.

    Tasks take turns, so that the first part of a run, and any drift of the machine, is spread over all of them.
    Raises CoveyError for a task with fewer prompts than a batch.
    """
    by_task: list[list[Group]] = []
    for task in dict.fromkeys(prompt.task for prompt in prompts):
        own = [prompt for prompt in prompts if prompt.task == task]
        if len(own) < batch:
            raise CoveyError(f"batch={batch}: task {task!r} has {len(own)} prompts; raise limit, lower batch, or leave it out")
        by_task.append([Group(f"{task}/{batch}/{i}", task, tuple(own[i * batch : (i + 1) * batch])) for i in range(len(own) // batch)])
    return list(_in_turns(by_task))


def _in_turns(by_task: list[list[Group]]) -> Iterator[Group]:
    for row in itertools.zip_longest(*by_task):
        yield from (group for group in row if group is not None)
