"""Conversations with tools: what is refused by field, and what reaches a chat template."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken

from covey.errors import CoveyError
from covey.model.tokenizer import Tokenizer
from covey.tools import Tool, check_messages, for_template, tools_of
from tests.model.tiny import tiny_tokenizer
from tests.tools.templates import PLAIN, TEMPLATES

USER = {"role": "user", "content": "Hm?"}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
TALK = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "12", "tool_call_id": "abcdefghi"},
]


def tokenizer(template: str) -> Tokenizer:
    wrapped = tiny_tokenizer(300)
    wrapped.chat_template = template
    wrapped.add_special_tokens({"additional_special_tokens": [AddedToken("[TOOL_CALLS]", special=True)]})
    return Tokenizer(wrapped, "tiny")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hermes", ['<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>', "tool: 12"]),
        ("llama3", ['assistant: {"name": "weather", "parameters": {"city": "Rome"}}', "ipython: 12"]),
        ("mistral", ['[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome"}, "id": "abcdefghi"}]', '"call_id": "abcdefghi"']),
    ],
)
def test_tools_calls_and_results_reach_the_template(name, expected):
    made = tokenizer(TEMPLATES[name])
    text = made.decode(made.apply_chat(TALK, [Tool("weather", "how it is outside")]), skip_special_tokens=False)
    assert all(part in text for part in [*expected, '"description": "how it is outside"'])
    assert "how it is outside" not in made.decode(made.apply_chat(TALK))


def test_marks_that_are_special_tokens_are_known_by_id():
    made = tokenizer(TEMPLATES["mistral"])
    assert made.decode([made.special_id("[TOOL_CALLS]")], skip_special_tokens=False) == "[TOOL_CALLS]"
    assert made.special_id("e") is None and made.special_id("[NOWHERE]") is None


@pytest.mark.parametrize(("messages", "tools"), [([USER], [Tool("weather")]), (TALK, [])])
def test_a_template_that_knows_no_tools_is_refused(messages, tools):
    with pytest.raises(CoveyError, match="tools: tiny's chat template"):
        tokenizer(PLAIN).apply_chat(messages, tools)


def test_what_a_template_refuses_is_told():
    with pytest.raises(CoveyError, match="one call at once"):
        tokenizer(TEMPLATES["llama3"]).apply_chat([USER, {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}])


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({**USER, "tool_calls": [CALL]}, r"messages\[0\]: has .*'tool_calls'.*nothing else"),
        ({"role": "assistant", "content": None}, r"messages\[0\]\['content'\] is a NoneType"),
        ({"role": "assistant", "content": None, "tool_calls": []}, r"messages\[0\]\['content'\] is a NoneType"),
        ({"role": "assistant", "content": "", "tool_calls": "x"}, r"messages\[0\]\['tool_calls'\]: must be a list"),
        ({"role": "assistant", "content": "", "tool_calls": [{"id": "x"}]}, r"\['tool_calls'\]\[0\]: must be \{'id'"),
        (
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "x", "arguments": "[1]"}}]},
            r"\['tool_calls'\]\[0\]\['function'\]\['arguments'\]: must be a JSON object",
        ),
        ({"role": "tool", "content": "", "id": "x"}, r"of tool: role, content, name, tool_call_id"),
    ],
)
def test_a_message_that_is_none_is_refused_by_field(message, complaint):
    with pytest.raises(CoveyError, match=complaint):
        check_messages([message])


def test_templates_get_arguments_as_objects_and_the_request_is_left_alone():
    rendered = for_template(TALK)
    assert rendered[1]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"} and rendered[1]["content"] == ""
    assert TALK[1]["tool_calls"] == [CALL] and TALK[1]["content"] is None


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        ([], "tools: must be a list of 1 to 128"),
        ([{"type": "web_search"}], r"tools\[0\]: must be an object"),
        ([{"type": "function", "function": {"name": "a b"}}], r"tools\[0\].function.name='a b'"),
        ([{"type": "function", "function": {"name": "a", "code": 1}}], r"tools\[0\].function: must be an object of description"),
        ([{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}], r"tools\[0\].function.parameters"),
        ([{"type": "function", "function": {"name": "a", "strict": 1}}], r"tools\[0\].function: description must"),
        ([{"type": "function", "function": {"name": "a"}}] * 2, "tools: two are called 'a'"),
    ],
)
def test_a_tool_that_is_none_is_refused_by_field(tools, complaint):
    with pytest.raises(CoveyError, match=complaint):
        tools_of(tools)
