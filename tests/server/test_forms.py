"""Answers of a given form over HTTP: response_format, tools and their calls, whole and streamed, by the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from covey import LLM, SamplingParams
from covey.sampling_params import Grammar
from tests.server.running import Running, running

pytest.importorskip("llguidance", reason="no grammars without the extra `grammar`")

MESSAGES = [{"role": "user", "content": "Where are the birds?"}]
SCHEMA = {
    "type": "object",
    "properties": {"bird": {"enum": ["wren", "crow"]}, "count": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["bird", "count"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "birds", "schema": SCHEMA, "strict": True}}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "Tells of birds.", "parameters": SCHEMA}} for name in ("find", "sing")
]
SAMPLED = {"model": "toy", "messages": MESSAGES, "temperature": 1.0, "seed": 7, "max_tokens": 200}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as found:
        yield found


def test_an_answer_of_a_schema_is_that_of_the_same_grammar(server: Running) -> None:
    answer = server.openai().chat.completions.create(**SAMPLED, response_format=FORMAT)
    held = json.loads(answer.choices[0].message.content)
    assert held["bird"] in ("wren", "crow") and 1 <= held["count"] <= 99
    params = SamplingParams(temperature=1.0, seed=7, max_tokens=200, grammar=Grammar.json_schema(SCHEMA))
    with LLM("toy", drafters=[]) as llm:
        assert llm.generate(MESSAGES, params)[0].text == answer.choices[0].message.content


def test_any_object_will_do_for_json_object(server: Running) -> None:
    answer = server.openai().chat.completions.create(**{**SAMPLED, "max_tokens": 400}, response_format={"type": "json_object"})
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content), dict)
    assert answer.choices[0].message.content.startswith("{")


CHOICES: list[tuple[Any, str]] = [
    ("required", "tool_calls"),
    ({"type": "function", "function": {"name": "sing"}}, "stop"),
]


@pytest.mark.parametrize(("choice", "reason"), CHOICES, ids=["required", "named"])
def test_a_call_that_is_demanded_is_made(server: Running, choice: Any, reason: str) -> None:
    (made,) = server.openai().chat.completions.create(**SAMPLED, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False).choices
    assert made.finish_reason == reason and made.message.content is None
    (call,) = made.message.tool_calls
    assert call.id and call.function.name in ("find", "sing")[choice != "required" :]
    assert set(json.loads(call.function.arguments)) == {"bird", "count"}


def test_streamed_calls_join_to_those_of_the_whole_answer(server: Running) -> None:
    asked = {**SAMPLED, "tools": TOOLS, "tool_choice": "required", "n": 2}
    whole = server.openai().chat.completions.create(**asked)
    joined: dict[int, dict[int, list[str]]] = {}
    reasons = {}
    for piece in server.openai().chat.completions.create(**asked, stream=True):
        for choice in piece.choices:
            for call in choice.delta.tool_calls or ():
                held = joined.setdefault(choice.index, {}).setdefault(call.index, ["", ""])
                held[0] += call.function.name or ""
                held[1] += call.function.arguments or ""
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    for choice in whole.choices:
        calls = [[call.function.name, call.function.arguments] for call in choice.message.tool_calls]
        assert calls == list(joined[choice.index].values())
        assert reasons[choice.index] == choice.finish_reason


def test_a_conversation_goes_on_after_a_call(server: Running) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"bird": "wren", "count": 2}'}}
    more = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "in the hedge"}]
    answer = server.openai().chat.completions.create(**{**SAMPLED, "messages": [*MESSAGES, *more]}, tools=TOOLS, tool_choice="none")
    assert answer.choices[0].message.content and answer.choices[0].message.tool_calls is None


def test_a_template_without_tools_is_refused_by_name(server: Running, tiny: Any) -> None:
    with running(str(tiny("llama")), dtype="float64", drafters=[]) as other:
        answer = other.http().post("/v1/chat/completions", json={"messages": MESSAGES, "tools": TOOLS})
        assert answer.status_code == 400
        assert "template" in answer.json()["error"]["message"]
