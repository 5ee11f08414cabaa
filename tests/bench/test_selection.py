"""Choosing prompts and forming groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.bench.selection import EncodedPrompt, make_groups, select
from covey.errors import CoveyError
from covey.prompts import read_prompts
from covey.types import Message
from tests.bench.samples import line, write


def encode(messages: list[Message]) -> list[int]:
    """A token a letter."""
    return [ord(letter) for message in messages for letter in message["content"]]


def test_limit_counts_the_prompts_that_fit(tmp_path: Path) -> None:
    lines = [line("long", text="x" * 9), line("a"), line("b", "code"), line("c"), line("d")]
    selection = select(read_prompts(write(tmp_path / "p.jsonl", lines)), encode, longest=8, limit=2)
    assert [prompt.id for prompt in selection.prompts] == ["a", "c", "b"]
    assert selection.left_out == (("long", 9),)
    assert selection.prompts[0].ids == tuple(b"hello")


def test_a_task_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    prompts = read_prompts(write(tmp_path / "p.jsonl", [line("a", "code", text="x" * 9)]))
    with pytest.raises(CoveyError, match=r"'code'.*more than 8 tokens"):
        select(prompts, encode, longest=8, limit=None)


def encoded(**tasks: int) -> tuple[EncodedPrompt, ...]:
    return tuple(EncodedPrompt(f"{task}{i}", task, (i,)) for task, count in tasks.items() for i in range(count))


def test_groups_are_full_of_one_task_and_take_turns() -> None:
    groups = make_groups(encoded(qa=5, code=2), batch=2)
    assert [[prompt.id for prompt in group.prompts] for group in groups] == [["qa0", "qa1"], ["code0", "code1"], ["qa2", "qa3"]]
    assert all(group.batch == 2 and {prompt.task for prompt in group.prompts} == {group.task} for group in groups)


def test_group_names_are_unique_over_batch_sizes() -> None:
    prompts = encoded(qa=4, code=4)
    names = [group.name for batch in (1, 2, 4) for group in make_groups(prompts, batch)]
    assert len(set(names)) == len(names) == 8 + 4 + 2


def test_a_task_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(CoveyError, match=r"batch=4: task 'code' has 3 prompts"):
        make_groups(encoded(qa=4, code=3), batch=4)
