"""Changing how a target is drafted for: each change does what it says to the drafts, in the midst of a text, and nothing to the text."""

from __future__ import annotations

import asyncio
import json

import pytest

from covey import LLM, AsyncLLM, CoveyError, SamplingParams
from covey.drafters import NestedDrafter
from covey.types import Round
from tests.exactness.drafters import save_untrained

KIND = {"dtype": "float64", "device": "cpu"}
PROMPT = [5, 6, 7, 8, 5, 6, 7]
PARAMS = SamplingParams(max_tokens=40, ignore_eos=True)


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module")
def folder(target, tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("nested"), target, (1, 2, 4))


@pytest.fixture(scope="module")
def plain(target) -> list[int]:
    with LLM(target, drafters=[], **KIND) as llm:
        return llm.generate(PROMPT, PARAMS)[0].token_ids


def changed_midway(llm: AsyncLLM, **changes) -> tuple[list[int], list[Round], list[Round]]:
    """A text during which something is changed, and its rounds before and after that."""

    async def run():
        before, after, tokens = [], [], []
        rounds = before
        async for chunk in llm.stream(PROMPT, PARAMS):
            tokens += chunk.token_ids
            rounds.append(chunk.round)
            if len(tokens) >= 8 and rounds is before:
                stop = llm.observe(after.append)
                await llm.tuned(**changes)
                stop()
                after.clear()
                rounds = after
        return tokens, before, after

    return asyncio.run(run())


@pytest.mark.parametrize("cap", [0, 2])
def test_a_cap_holds_for_texts_that_are_under_way(target, folder, plain, cap):
    llm = AsyncLLM(target, drafters=[NestedDrafter(folder, **KIND)], num_speculative_tokens=4, controller="fixed", **KIND)
    try:
        tokens, before, _ = changed_midway(llm, num_speculative_tokens=cap)
        assert tokens == plain and max(each.planned for each in before) == 4
        rounds: list[Round] = []
        llm.observe(rounds.append)
        assert asyncio.run(llm.generate(PROMPT, PARAMS))[0].token_ids == plain
        assert max(each.planned for each in rounds) == cap
    finally:
        llm.close()


def test_thresholds_decide_at_which_exit_tokens_are_read_off(target, folder, plain):
    """After a change drafts are those of a drafter that was made with such thresholds."""
    llm = AsyncLLM(target, drafters=[NestedDrafter(folder, **KIND)], num_speculative_tokens=4, controller="fixed", branches="off", **KIND)
    name = llm.drafters[0].name
    try:
        assert asyncio.run(llm.tuned())["thresholds"] == {name: [1.0, 1.0]}
        assert changed_midway(llm, thresholds={name: [0, 0.5]})[0] == plain
        assert asyncio.run(llm.tuned())["thresholds"] == {name: [0.0, 0.5]}
        rounds: list[Round] = []
        llm.observe(rounds.append)
        asyncio.run(llm.generate(PROMPT, PARAMS))
    finally:
        llm.close()
    made = NestedDrafter(folder, thresholds=(0.0, 0.5), **KIND)
    with LLM(target, drafters=[made], num_speculative_tokens=4, controller="fixed", branches="off", **KIND) as other:
        expected: list[Round] = []
        other.observe(expected.append)
        other.generate(PROMPT, PARAMS, progress=False)
    assert [each.drafted for each in rounds] == [each.drafted for each in expected]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": {"nested:other": [0, 0]}}, "must be an object of lists of numbers by nested:"),
        ({"thresholds": {}}, "must be an object"),
        ({"thresholds": {"NAME": [0.5]}}, "there must be 2 numbers from 0 to 1"),
        ({"thresholds": {"NAME": [0.5, 1.5]}}, "there must be 2 numbers from 0 to 1"),
        ({"thresholds": {"NAME": [0.5, True]}}, "there must be 2 numbers from 0 to 1"),
        ({"members": ["NAME"]}, "this target has no collective"),
        ({"temperature": 1}, "temperature: cannot be changed while serving"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(target, folder, changes, message):
    llm = AsyncLLM(target, drafters=[NestedDrafter(folder, **KIND)], num_speculative_tokens=4, controller="fixed", **KIND)
    name = llm.drafters[0].name
    named = json.loads(json.dumps(changes).replace("NAME", name))
    try:
        before = asyncio.run(llm.tuned())
        with pytest.raises(CoveyError, match=message):
            asyncio.run(llm.tuned(num_speculative_tokens=1, **named))
        assert asyncio.run(llm.tuned()) == before
    finally:
        llm.close()


def test_a_target_without_a_drafter_takes_no_length():
    llm = AsyncLLM("toy", drafters=[])
    try:
        assert asyncio.run(llm.tuned())["most_speculative_tokens"] == 0
        with pytest.raises(CoveyError, match="from 0 to 0"):
            asyncio.run(llm.tuned(num_speculative_tokens=1))
    finally:
        llm.close()
