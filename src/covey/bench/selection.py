"""Chooses prompts by task and length, and forms the groups that are answered together.

Knows nothing of files or models: how to encode a prompt is handed in.

    groups = make_groups(select(prompts, encode, longest=2000, limit=8).prompts, batch=4)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from covey.errors import CoveyError
from covey.prompts import TaskPrompt
from covey.types import Message


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


def select(prompts: list[TaskPrompt], encode: Callable[[list[Message]], list[int]], longest: int, limit: int | None) -> Selection:
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
