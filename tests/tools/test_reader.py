"""Calls read from text as it grows: the same content and calls however the text is cut, in every convention."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.tools import FORMATS, CallReader, Delta, Tool

FORMS = {form.name: form for form in FORMATS}
TOOLS = [Tool("weather"), Tool("time")]
ROME = '{"city": "Ro\\"me {", "days": [1, {"a": 2}]}'

CASES = {
    "text": ("hermes", "Just  text.\n", "Just  text.\n", []),
    "one": ("hermes", f'<tool_call>\n{{"name": "weather", "arguments": {ROME}}}\n</tool_call>', "", [("weather", ROME)]),
    "text and two": (
        "hermes",
        f'Let me see.\n\n<tool_call>\n{{"name": "weather", "arguments": {ROME}}}\n</tool_call>\n'
        '<tool_call>{"arguments": {} , "name": "time"}</tool_call>\n',
        "Let me see.",
        [("weather", ROME), ("time", "{}")],
    ),
    "text after": ("hermes", '<tool_call>{"name": "time", "arguments": {}}</tool_call> Done.', " Done.", [("time", "{}")]),
    "arguments as text": ("hermes", '<tool_call>{"name": "time", "arguments": "{\\"a\\": 1}"}</tool_call>', "", [("time", '{"a": 1}')]),
    "cut short": ("hermes", '<tool_call>\n{"name": "weather", "arguments": {"city": "Ro', "", [("weather", '{"city": "Ro')]),
    "cut before": ("hermes", 'Hm. <tool_call>\n{"name": "wea', 'Hm. <tool_call>\n{"name": "wea', []),
    "cut while closing": ("hermes", '<tool_call>{"name": "time", "arguments": {}}\n</tool_', "", [("time", "{}")]),
    "unknown": ("hermes", '<tool_call>{"name": "rain", "arguments": {}}</tool_call>', None, []),
    "no call": ("hermes", "a <tool_call> b", "a <tool_call> b", []),
    "an object without a name": ("hermes", '<tool_call>{"a": 1}</tool_call>', '<tool_call>{"a": 1}</tool_call>', []),
    "empty": ("hermes", "<tool_call></tool_call>", "<tool_call></tool_call>", []),
    "almost": ("hermes", "1 < 2 <tool", "1 < 2 <tool", []),
    "llama3": ("llama3", f' {{"name": "weather", "parameters": {ROME}}}', "", [("weather", ROME)]),
    "llama3 tagged": ("llama3", '<|python_tag|>{"name": "time", "parameters": {}}', "", [("time", "{}")]),
    "llama3 JSON": ("llama3", '{"answer": {"name": 1}}\n', '{"answer": {"name": 1}}\n', []),
    "llama3 text": ("llama3", 'So: {"name": "time", "parameters": {}}', 'So: {"name": "time", "parameters": {}}', []),
    "mistral": (
        "mistral",
        f'[TOOL_CALLS] [{{"name": "weather", "arguments": {ROME}, "id": "abc"}}, {{"name": "time", "arguments": {{}}}}]',
        "",
        [("weather", ROME), ("time", "{}")],
    ),
    "mistral without its mark": ("mistral", '[{"name": "time", "arguments": {}}]', "", [("time", "{}")]),
    "mistral list": ("mistral", "[1, 2]", "[1, 2]", []),
    "mistral link": ("mistral", "[TOOL] is a word", "[TOOL] is a word", []),
    "mistral text": ("mistral", "A list: [1]", "A list: [1]", []),
    "mistral empty": ("mistral", "[]", "[]", []),
}


def read(reader: CallReader, pieces: list[str]) -> tuple[str, list[list[str]]]:
    """Content, and name and arguments of each call, as a client joins them."""
    content, calls, ids = "", [], set()
    for delta in [*(reader.push(piece) for piece in pieces), reader.flush()]:
        assert isinstance(delta, Delta)
        content += delta.content
        for call in delta.calls:
            if call.name is not None:
                assert call.index == len(calls) and call.id not in ids
                ids.add(call.id)
                calls.append([call.name, ""])
            calls[call.index][1] += call.arguments
    return content, calls


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_content_and_calls_do_not_depend_on_how_the_text_is_cut(case, data):
    form, text, content, calls = CASES[case]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = (text if content is None else content, [list(call) for call in calls])
    assert read(FORMS[form].reader(TOOLS), pieces) == expected
    assert read(FORMS[form].reader(TOOLS), list(text)) == expected


def test_arguments_are_told_while_they_are_written():
    reader = FORMS["hermes"].reader(TOOLS)
    told = [reader.push(piece).calls for piece in ("Hm <tool_call>", '{"name": "weather", "arg', 'uments": {"city"', ': "Rome"}', "}")]
    assert [[(call.name, call.arguments) for call in calls] for calls in told] == [
        [], [], [("weather", ""), (None, '{"city"')], [(None, ': "Rome"}')], [],
    ]  # fmt: skip


@pytest.mark.parametrize(("form", "length"), [("hermes", 29), ("mistral", 9)])
def test_ids_are_such_as_the_convention_takes(form, length):
    text = '[{"name": "time", "arguments": {}}]' if form == "mistral" else '<tool_call>{"name": "time", "arguments": {}}</tool_call>'
    first = FORMS[form].reader(TOOLS).push(text).calls[0]
    assert len(first.id or "") == length


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.booleans() | st.text(max_size=4), st.lists, max_leaves=4)))
def test_any_arguments_come_through(arguments):
    written = json.dumps({"name": "weather", "arguments": arguments}, ensure_ascii=False)
    _, ((name, read_back),) = read(FORMS["hermes"].reader(TOOLS), [f"<tool_call>\n{written}\n</tool_call>"])
    assert name == "weather" and json.loads(read_back) == arguments
