"""response_format, tools and tool_choice: what they come to, what is refused by name, and that the engine honours it."""

from __future__ import annotations

import json

import pytest

from covey import LLM, SamplingParams
from covey.errors import CoveyError
from covey.sampling_params import Grammar
from covey.server.constraints import Constraints, constrain
from covey.toy import ToyTokenizer

pytest.importorskip("llguidance")
BIRD = {"type": "object", "properties": {"bird": {"enum": ["quail", "robin"]}}, "required": ["bird"], "additionalProperties": False}
TOOLS = [
    {"type": "function", "function": {"name": "find", "description": "finds birds", "parameters": BIRD}},
    {"type": "function", "function": {"name": "sing"}},
]
STRICT = [{"type": "function", "function": {**TOOLS[0]["function"], "strict": True}}]
MESSAGES = [{"role": "user", "content": "Find a bird."}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "bird", "schema": BIRD, "strict": True}}


def found(**fields) -> Constraints:
    return constrain(ToyTokenizer(), **fields)


@pytest.mark.parametrize(
    ("given", "grammar"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Grammar("json_object")),
        (SCHEMA, Grammar.json_schema(BIRD)),
    ],
)
def test_a_response_format_is_a_grammar(given, grammar):
    assert found(response_format=given) == Constraints(grammar)


@pytest.mark.parametrize(
    ("fields", "called", "bound"),
    [
        ({"tools": TOOLS}, ["find", "sing"], False),
        ({"tools": TOOLS, "tool_choice": "auto"}, ["find", "sing"], False),
        ({"tools": TOOLS, "tool_choice": "none"}, [], False),
        ({"tools": TOOLS, "tool_choice": "required"}, ["find", "sing"], True),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "sing"}}}, ["sing"], True),
        ({"tools": TOOLS, "parallel_tool_calls": False}, ["find", "sing"], True),
        ({"tools": STRICT}, ["find"], True),
        ({"tools": TOOLS, "tool_choice": "none", "response_format": {"type": "json_object"}}, [], True),
    ],
)
def test_which_tools_may_be_called_and_whether_a_grammar_says_how(fields, called, bound):
    made = found(**fields)
    assert [tool.name for tool in made.tools] == called
    assert (made.grammar is not None) is bound and (made.reader() is not None) is bool(called)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"response_format": {"type": "xml"}}, "response_format.type='xml': must be text, json_object or json_schema"),
        ({"response_format": "json"}, "response_format.type=None"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema: is not known"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema: must be"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format.json_schema.schema: must be"),
        ({"response_format": SCHEMA, "tools": TOOLS}, "response_format: an answer that may call tools"),
        ({"tool_choice": "required"}, "tool_choice='required': there are no tools"),
        ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice='any': must be none, auto, required or"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "fly"}}},
            "tool_choice.function.name='fly': .* find, sing",
        ),
        ({"tools": TOOLS, "parallel_tool_calls": "no"}, "parallel_tool_calls='no'"),
        ({"tools": [{}]}, r"tools\[0\]"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields, complaint):
    with pytest.raises(CoveyError, match=complaint):
        found(**fields)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find"}}])
def test_a_call_that_is_asked_for_is_made_with_arguments_of_its_schema(choice, temperature):
    """Through the engine, with drafts."""
    with LLM("toy", drafters=["suffix", "grammar"], controller="fixed") as llm:
        made = constrain(llm.tokenizer, tools=STRICT, tool_choice=choice)
        ids = llm.encode(MESSAGES, tools=made.tools)
        done = llm.generate(ids, SamplingParams(grammar=made.grammar, temperature=temperature, seed=2, max_tokens=400))[0]
    reader = made.reader()
    deltas = [reader.push(done.text), reader.flush()]
    calls = [call for delta in deltas for call in delta.calls]
    assert done.stats.num_accepted_tokens > 0 and calls[0].name == "find"
    first = "".join(call.arguments for call in calls if call.index == 0)
    assert json.loads(first)["bird"] in ("quail", "robin")
    assert "".join(delta.content for delta in deltas) == ""
