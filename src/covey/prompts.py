"""Reads a prompt file: what kinds of work a benchmark measures, a recording answers and a calibration replays.

A line of the file is a JSON object with `id`, `task` and `messages` (chat turns, the last one the user's), and perhaps
`source`, where the prompt comes from, and `reference`, an answer; other keys are not read. Knows nothing of models.

    prompts = read_prompts(Path("dev.jsonl.gz"), tasks=("code",))
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from covey.errors import CoveyError
from covey.types import Message


@dataclass(frozen=True)
class TaskPrompt:
    """A prompt as the file has it."""

    id: str
    task: str
    messages: tuple[Message, ...]
    source: str = ""
    reference: str = ""


def read_prompts(path: Path, tasks: tuple[str, ...] | None = None, skipped: Callable[[str], None] | None = None) -> list[TaskPrompt]:
    """All prompts of these tasks, in the file's order.

    skipped is told of each bad line, naming file and line, and the others are read; without it a bad line raises
    CoveyError. So does a file that cannot be read or holds no such prompt.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except FileNotFoundError:
        raise CoveyError(f"prompts={str(path)!r}: no such file") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CoveyError(f"prompts={str(path)!r}: cannot be read ({error}); give a .jsonl or .jsonl.gz file") from None
    found: dict[str, TaskPrompt] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            prompt = _prompt(path, number, line)
            if prompt.id in found:
                raise CoveyError(f"{path}, line {number}: the id {prompt.id!r} stands twice; give every prompt its own")
            found[prompt.id] = prompt
        except CoveyError as error:
            if skipped is None:
                raise
            skipped(str(error))
    known = list(dict.fromkeys(prompt.task for prompt in found.values()))
    if missing := [task for task in tasks or () if task not in known]:
        raise CoveyError(f"tasks={missing[0]!r}: {path} has no such task; it has {', '.join(known)}")
    chosen = [prompt for prompt in found.values() if tasks is None or prompt.task in tasks]
    if not chosen:
        raise CoveyError(f"prompts={str(path)!r}: the file holds no prompt")
    return chosen


def _prompt(path: Path, number: int, line: str) -> TaskPrompt:
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
    turns = tuple({"role": m["role"], "content": m["content"]} for m in messages)
    reference = data.get("reference")
    return TaskPrompt(data["id"], data["task"], turns, str(data.get("source") or ""), reference if isinstance(reference, str) else "")


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)


def file_digest(path: Path) -> str:
    """SHA-256 of the file, so that a result says which prompts it is of."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
