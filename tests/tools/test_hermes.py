"""The convention of Hermes under a template in the shape of Qwen 2.5's: tools, calls, results, and the way there and back."""

from __future__ import annotations

import json

import pytest
from tokenizers import AddedToken

from covey.model.tokenizer import Tokenizer
from covey.tools import Tool, format_of
from tests.model.tiny import tiny_tokenizer
from tests.tools.templates import CHATML

TOOLS = [Tool("weather", "how it is outside", {"type": "object", "properties": {"city": {"type": "string"}}}), Tool("time")]
WROTE = (
    "I shall look.\n"
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Århus \\"N\\"", "days": [1, 2]}}\n</tool_call>\n'
    '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>'
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    wrapped = tiny_tokenizer(300)
    wrapped.chat_template = CHATML
    wrapped.add_special_tokens({"additional_special_tokens": [AddedToken(each, special=True) for each in ("<|im_start|>", "<|im_end|>")]})
    return Tokenizer(wrapped, "tiny")


def rendered(tokenizer, messages, tools=()) -> str:
    return tokenizer.decode(tokenizer.apply_chat(messages, tools), skip_special_tokens=False)


def called() -> dict:
    """What a client sends back of an answer that was read."""
    reader = format_of(CHATML).reader(TOOLS)
    deltas = [*(reader.push(each) for each in WROTE), reader.flush()]
    calls: list[dict] = []
    for call in (call for delta in deltas for call in delta.calls):
        if call.id is not None:
            calls.append({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}})
        calls[call.index]["function"]["arguments"] += call.arguments
    return {"role": "assistant", "content": "".join(delta.content for delta in deltas) or None, "tool_calls": calls}


def test_the_convention_is_recognised():
    assert format_of(CHATML).name == "hermes"


def test_what_was_read_of_an_answer_is_told_to_the_model_as_it_wrote_it(tokenizer):
    answer = called()
    assert [json.loads(call["function"]["arguments"]) for call in answer["tool_calls"]] == [{"city": 'Århus "N"', "days": [1, 2]}, {}]
    text = rendered(tokenizer, [{"role": "user", "content": "Well?"}, answer], TOOLS)
    assert f"<|im_start|>assistant\n{WROTE}<|im_end|>\n" in text


def test_results_of_one_turn_stand_together_in_one_turn_of_the_users(tokenizer):
    answer = called()
    results = [
        {"role": "tool", "content": content, "tool_call_id": call["id"]}
        for content, call in zip(("12 degrees", "noon"), answer["tool_calls"], strict=True)
    ]
    text = rendered(tokenizer, [{"role": "user", "content": "Well?"}, answer, *results], TOOLS)
    assert text.endswith(
        "<|im_start|>user\n<tool_response>\n12 degrees\n</tool_response>\n<tool_response>\nnoon\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_tools_are_told_as_objects_with_the_systems_own_words_before(tokenizer):
    text = rendered(tokenizer, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Well?"}], TOOLS)
    begins, listed = text.split("<tools>\n")
    assert begins == "<|im_start|>system\nBe brief.\n\n# Tools\n\n"
    assert [json.loads(line) for line in listed.split("\n</tools>")[0].splitlines()] == [tool.described() for tool in TOOLS]


def test_a_developer_is_heard_by_a_template_that_does_not_know_the_word(tokenizer):
    text = rendered(tokenizer, [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Well?"}])
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")


def test_special_tokens_in_tools_calls_and_results_stay_text(tokenizer):
    end = "<|im_end|>"
    tools = [Tool("weather", f"how{end}")]
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": json.dumps({end: end})}}
    messages = [
        {"role": "user", "content": end},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": end, "tool_call_id": "a"},
    ]
    ids = tokenizer.apply_chat(messages, tools)
    assert ids.count(tokenizer.special_id(end)) == 4  # of the template's own turns: system, user, assistant, results
    assert tokenizer.decode(ids, skip_special_tokens=False).count(end) == 4 + 5
