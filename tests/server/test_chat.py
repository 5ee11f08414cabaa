"""/v1/chat/completions by the official client: every field, and the text that covey itself gives."""

from __future__ import annotations

import math

import pytest

from covey import SamplingParams

MESSAGES = [{"role": "system", "content": "sing"}, {"role": "user", "content": "the birds fly over the hill"}]


def ask(server, stream: bool = False, **fields):
    own = fields.pop("extra_body", {})
    return server.openai().chat.completions.create(model="toy", messages=MESSAGES, stream=stream, extra_body=own, **fields)


def streamed(server, **fields) -> dict[int, tuple[str, str]]:
    """Text and reason of each choice, put together."""
    texts, reasons = {}, {}
    for chunk in ask(server, stream=True, **fields):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                assert choice.index not in reasons
                reasons[choice.index] = choice.finish_reason
    return {index: (texts[index], reasons[index]) for index in texts}


# Fields of the request, and the SamplingParams that they stand for.
FIELDS = [
    ({}, {}),
    ({"max_tokens": 7}, {"max_tokens": 7}),
    ({"max_completion_tokens": 7}, {"max_tokens": 7}),
    ({"temperature": 0.9, "seed": 5, "top_p": 0.8}, {"temperature": 0.9, "seed": 5, "top_p": 0.8}),
    ({"temperature": 1.2, "seed": 5, "n": 3, "max_tokens": 9}, {"temperature": 1.2, "seed": 5, "n": 3, "max_tokens": 9}),
    ({"stop": "sing"}, {"stop": ("sing",)}),
    ({"stop": ["hill", " a"]}, {"stop": ("hill", " a")}),
    ({"frequency_penalty": 1.5, "presence_penalty": -1.0}, {"frequency_penalty": 1.5, "presence_penalty": -1.0}),
    ({"logit_bias": {"100": -100, "101": 20}, "max_tokens": 9}, {"logit_bias": {100: -100, 101: 20}, "max_tokens": 9}),
    ({"user": "someone", "metadata": {"a": "b"}, "safety_identifier": "x", "response_format": {"type": "text"}}, {}),
    ({"extra_body": {"top_k": 3, "temperature": 1, "seed": 1}}, {"top_k": 3, "temperature": 1.0, "seed": 1}),
    ({"extra_body": {"min_p": 0.3, "temperature": 1, "seed": 1}}, {"min_p": 0.3, "temperature": 1.0, "seed": 1}),
    ({"extra_body": {"repetition_penalty": 1.7}}, {"repetition_penalty": 1.7}),
    (
        {"extra_body": {"min_tokens": 20, "stop_token_ids": [98, 99], "max_tokens": 30}},
        {"min_tokens": 20, "stop_token_ids": (98, 99), "max_tokens": 30},
    ),
    ({"extra_body": {"ignore_eos": True, "max_tokens": 200}}, {"ignore_eos": True, "max_tokens": 200}),
    ({"extra_body": {"speculation": {"num_tokens": 1}, "label": "birds"}}, {"speculation": {"num_tokens": 1}, "label": "birds"}),
]


@pytest.mark.parametrize(("fields", "params"), FIELDS, ids=lambda each: ",".join(each.get("extra_body", each)) or "none")
def test_the_text_is_that_of_generate_whole_and_streamed(server, llm, fields, params):
    expected = {c.index: (c.text, c.finish_reason) for c in llm.generate([MESSAGES], SamplingParams(**params))}
    answer = ask(server, **fields)
    assert {c.index: (c.message.content, c.finish_reason) for c in answer.choices} == expected
    assert streamed(server, **fields) == expected


def test_usage_is_what_was_read_and_written(server, llm):
    params = SamplingParams(n=2, temperature=1.0, seed=3, stop=("sing",), max_tokens=40)
    done = llm.generate([MESSAGES], params)
    fields = {"n": 2, "temperature": 1, "seed": 3, "stop": "sing", "max_tokens": 40}
    written, read = sum(len(c.token_ids) for c in done), len(llm.encode(MESSAGES))
    assert ask(server, **fields).usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) == {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
    chunks = list(ask(server, stream=True, stream_options={"include_usage": True}, **fields))
    assert [c.usage is None for c in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == written


def test_a_stream_without_usage_ends_with_the_last_reason(server):
    chunks = list(ask(server, stream=True, max_tokens=4))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "length"
    assert all(chunk.usage is None for chunk in chunks)


def test_logprobs_are_those_of_generate(server, llm):
    (done,) = llm.generate([MESSAGES], SamplingParams(max_tokens=12, logprobs=2))
    content = ask(server, max_tokens=12, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    told = [(e.token, e.logprob, [(t.token, t.logprob) for t in e.top_logprobs]) for e in content]
    spelled = llm.tokenizer.pieces
    expected = [(spelled[e.token], e.logprob, [(spelled[t], p) for t, p in e.top]) for e in done.logprobs]
    assert told == expected
    assert all(bytes(e.bytes).decode() == e.token and math.isfinite(e.logprob) for e in content)
    pieces = [c.choices[0].logprobs for c in ask(server, stream=True, max_tokens=12, logprobs=True, top_logprobs=2) if c.choices]
    assert [e for piece in pieces if piece for e in piece.content] == content


def test_a_logprob_that_json_cannot_hold_is_told_as_the_least(server):
    """Two tokens are left: the likeliest five hold some of probability 0."""
    answer = ask(server, max_tokens=2, logprobs=True, top_logprobs=20, logit_bias={"100": 100})
    assert all(e.logprob >= -9999 for content in answer.choices[0].logprobs.content for e in content.top_logprobs)


def test_metrics_of_speculation_are_told_where_they_are_asked_for(server):
    fields = {"max_tokens": 120, "extra_body": {"include_metrics": True, "ignore_eos": True}}
    told = ask(server, **fields).model_extra["metrics"]["speculative_decoding"]
    assert sum(told["acceptance_histogram"]) == told["num_spec_steps"] > 0
    assert told["mean_acceptance_length"] == 1 + told["num_accepted_draft_tokens"] / told["num_spec_steps"]
    assert told["draft_acceptance_rate"] == told["num_accepted_draft_tokens"] / told["num_draft_tokens"]
    assert [*ask(server, stream=True, **fields)][-1].model_extra["metrics"]["speculative_decoding"] == told
    assert "metrics" not in ask(server, max_tokens=4).model_extra


def test_speculation_of_nothing_drafts_nothing(server):
    fields = {"speculation": {"num_tokens": 0}, "include_metrics": True, "ignore_eos": True}
    told = ask(server, max_tokens=120, extra_body=fields).model_extra["metrics"]["speculative_decoding"]
    assert told["num_draft_tokens"] == 0


def test_content_in_parts_is_their_text(server, llm):
    parts = [{"type": "text", "text": "the birds "}, {"type": "text", "text": "fly over the hill"}]
    messages = [MESSAGES[0], {"role": "user", "content": parts}]
    answer = server.openai().chat.completions.create(model="toy", messages=messages)
    assert answer.choices[0].message.content == llm.generate([MESSAGES])[0].text


def test_what_a_request_leaves_out_is_what_the_operator_set():
    from tests.server.running import running

    with running(defaults=SamplingParams(max_tokens=3, stop=("x",))) as server:
        assert ask(server, extra_body={"ignore_eos": True}).usage.completion_tokens == 3
