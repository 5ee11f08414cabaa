"""Has a target write prompts itself: behind the words that begin a user's turn it goes on as it has learned that users go on.

A drafter is trained on what its target answers, and answers want prompts. Those that a target writes are of the kinds that it was made for,
as many as are wanted, and nobody else's (Magpie, arXiv 2406.08464, section 2). `beginnings` lead it to kinds of work that it would
seldom think of. Knows nothing of recordings and drafters.

    invent(llm, InventSettings(output=Path("own.jsonl"), count=4000)); record(..., prompts=Path("own.jsonl"))
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covey.errors import CoveyError
from covey.llm import LLM
from covey.model.atomic import Report, silent
from covey.prompts import TaskPrompt, read_prompts
from covey.sampling_params import SamplingParams
from covey.types import Prompt

ANY = "any"
_FEWEST_CHARACTERS = 8  # shorter ones are greetings, over and over


@dataclass(frozen=True)
class Beginning:
    """How prompts of a kind of work begin; nothing at all leaves it to the target."""

    task: str
    text: str


@dataclass(frozen=True)
class InventSettings:
    """What is written.

    output: a .jsonl file, gone on with where it is there, also to a higher count. count: prompts that are tried; those that the target
    does not end within max_tokens, that are hardly a word or were there before are left out. beginnings: a file with an object
    {"task": ..., "beginning": ...} in each line; tasks take turns, and the beginnings of each. temperature, top_p, seed: see
    SamplingParams. shard: prompts that are written together: what an interruption can lose.
    """

    output: Path
    count: int
    beginnings: Path | None = None
    max_tokens: int = 160
    temperature: float = 1.0
    top_p: float = 0.95
    seed: int = 0
    shard: int = 256

    def __post_init__(self) -> None:
        for name in ("count", "shard", "max_tokens"):
            if getattr(self, name) < 1:
                raise CoveyError(f"{name}={getattr(self, name)}: {name} must be at least 1")
        if self.temperature <= 0:
            raise CoveyError(f"temperature={self.temperature}: temperature must be above 0, or all prompts would be one")


def invent(llm: LLM, settings: InventSettings, report: Report = silent) -> list[TaskPrompt]:
    """Write the prompts that are not yet written; what share of them is done is reported after each shard.

    Deterministic: a file that was cut and gone on with is the one that was not cut. Raises CoveyError when the file holds other prompts.
    """
    beginnings = read_beginnings(settings.beginnings)
    name = _name(llm, settings, beginnings)
    lines = _kept(settings.output, name)
    known = {line["messages"][0]["content"] for line in lines}
    begun = _number(lines[-1]) + 1 if lines else 0  # what was left out behind that one is left out again
    for start in range(begun, settings.count, settings.shard):
        numbers = range(start, min(start + settings.shard, settings.count))
        for number, (task, text) in zip(numbers, _written(llm, settings, beginnings, numbers), strict=True):
            if text is None or len(text) < _FEWEST_CHARACTERS or text in known:
                continue
            known.add(text)
            lines.append({"id": f"{name}-{number}", "task": task, "source": "own", "messages": [{"role": "user", "content": text}]})
        _write(settings.output, lines)
        report("writing prompts", (numbers[-1] + 1) / settings.count)
    if not lines:
        why = f"of {settings.count} prompts the target ended none within {settings.max_tokens} tokens"
        raise CoveyError(f"count={settings.count}: {why}; give more of either")
    return read_prompts(settings.output)


def read_beginnings(path: Path | None) -> list[Beginning]:
    """The file's beginnings, the tasks in turn; without a file one that says nothing. Raises CoveyError naming file and line."""
    if path is None:
        return [Beginning(ANY, "")]
    by_task: dict[str, list[Beginning]] = {}
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            task, text = data["task"], data["beginning"]
        except (ValueError, TypeError, KeyError):
            task = text = None
        if not isinstance(task, str) or not task or not isinstance(text, str):
            raise CoveyError(f'{path}, line {number}: it must be an object like {{"task": "code", "beginning": "Write a function"}}')
        by_task.setdefault(task, []).append(Beginning(task, text))
    if not by_task:
        raise CoveyError(f"beginnings={str(path)!r}: the file holds none")
    longest = max(map(len, by_task.values()))
    return [of_task[turn % len(of_task)] for turn in range(longest) for of_task in by_task.values()]


def user_turn(llm: LLM) -> tuple[list[int], int]:
    """What stands before a user's first words, and the token that ends them, as the chat template has it."""
    one, other = (llm.tokenizer.apply_chat([{"role": "user", "content": letter}]) for letter in ("a", "b"))
    before = _common(one, other)
    after = _common(one[::-1], other[::-1])
    return one[:before], one[len(one) - after]


def _common(one: list[int], other: list[int]) -> int:
    """How many tokens two texts have in common from the start on."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _written(llm: LLM, settings: InventSettings, beginnings: list[Beginning], numbers: range) -> list[tuple[str, str | None]]:
    """The kind of work and the text of each prompt, None for one that was not ended."""
    before, end = user_turn(llm)
    chosen = [beginnings[number % len(beginnings)] for number in numbers]
    asked: list[Prompt] = [[*before, *llm.tokenizer.encode(b.text, add_special_tokens=False)] for b in chosen]
    sampled: dict[str, Any] = {"temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": settings.max_tokens}
    params = [SamplingParams(**sampled, seed=settings.seed + number, stop_token_ids=(end,)) for number in numbers]
    done = llm.generate(asked, params, progress=False)
    for completion in done:
        if completion.error is not None:
            raise CoveyError(f"the target failed on a prompt of its own ({completion.error})")
    return [(b.task, (b.text + c.text).strip() if c.finish_reason == "stop" else None) for b, c in zip(chosen, done, strict=True)]


def _name(llm: LLM, settings: InventSettings, beginnings: list[Beginning]) -> str:
    """Tells prompts of these settings from others, however many there are."""
    said = [settings.max_tokens, settings.temperature, settings.top_p, settings.seed, settings.shard]
    described = json.dumps([llm.target.name, llm.tokenizer.fingerprint, said, [(b.task, b.text) for b in beginnings]])
    return f"own-{hashlib.sha256(described.encode()).hexdigest()[:8]}"


def _kept(output: Path, name: str) -> list[dict[str, Any]]:
    """The lines that are there already."""
    if not output.exists():
        return []
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in output.read_text("utf-8").split("\n") if line]
        ours = all(line["id"].startswith(f"{name}-") for line in lines)
    except (ValueError, TypeError, KeyError, AttributeError):
        ours = False
    if not ours:
        raise CoveyError(f"output={str(output)!r}: it holds prompts of other settings, or something else; give those, or another file")
    return lines


def _number(line: dict[str, Any]) -> int:
    return int(str(line["id"]).rpartition("-")[2])


def _write(output: Path, lines: list[dict[str, Any]]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    os.replace(partial, output)
