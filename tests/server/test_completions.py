"""/v1/completions by the official client: prompts of every kind, and the text that covey itself gives."""

from __future__ import annotations

import pytest

from covey import SamplingParams

IDS = [100, 101, 33, 34]


def ask(server, prompt, stream=False, **fields):
    own = fields.pop("extra_body", {})
    return server.openai().completions.create(model="toy", prompt=prompt, stream=stream, extra_body=own, **fields)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("the birds", ["the birds"]),
        (IDS, [IDS]),
        (["the birds", "a covey", "sing"], ["the birds", "a covey", "sing"]),
        ([IDS, [5, 7]], [IDS, [5, 7]]),
    ],
    ids=["text", "ids", "texts", "lists of ids"],
)
def test_choices_come_in_the_order_of_prompts_whole_and_streamed(server, llm, prompt, prompts):
    fields = {"n": 2, "temperature": 1.0, "seed": 4, "max_tokens": 12}
    expected = [(i, c.text, c.finish_reason) for i, c in enumerate(llm.generate(prompts, SamplingParams(**fields)))]
    answer = ask(server, prompt, **fields)
    assert [(c.index, c.text, c.finish_reason) for c in answer.choices] == expected
    texts, reasons = {}, {}
    for chunk in ask(server, prompt, stream=True, **fields):
        (choice,) = chunk.choices
        texts[choice.index] = texts.get(choice.index, "") + choice.text
        reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    assert [(i, texts[i], reasons[i]) for i in sorted(texts)] == expected
    assert answer.usage.prompt_tokens == sum(len(llm.encode(p)) for p in prompts)


def test_logprobs_are_those_of_generate_with_their_offsets(server, llm):
    (done,) = llm.generate(["the birds"], SamplingParams(max_tokens=9, logprobs=2, ignore_eos=True))
    answer = ask(server, "the birds", max_tokens=9, logprobs=2, extra_body={"ignore_eos": True}).choices[0]
    told, pieces = answer.logprobs, llm.tokenizer.pieces
    assert told.tokens == [pieces[e.token] for e in done.logprobs]
    assert told.token_logprobs == [e.logprob for e in done.logprobs]
    assert [set(top) for top in told.top_logprobs] == [{pieces[t] for t, _ in e.top} | {pieces[e.token]} for e in done.logprobs]
    assert [answer.text[at : at + len(token)] for at, token in zip(told.text_offset, told.tokens, strict=True)] == told.tokens


def test_a_half_character_is_named_by_its_bytes(tiny):
    from tests.server.running import running

    with running({"tiny": str(tiny("llama"))}, dtype="float32") as server:
        answer = server.openai().completions.create(model="tiny", prompt="the", max_tokens=40, logprobs=3, extra_body={"ignore_eos": True})
        served = server.llm.served("tiny")
        (expected,) = server_texts(tiny)
        assert answer.choices[0].text == expected.text
        names = [name for top in answer.choices[0].logprobs.top_logprobs for name in top]
        assert any(name.startswith("bytes:\\x") for name in names) == any(
            "\ufffd" in served.tokenizer.decode([t]) for e in expected.logprobs for t, _ in e.top
        )


def server_texts(tiny):
    from covey import LLM

    with LLM(str(tiny("llama")), drafters=[], dtype="float32") as llm:
        return llm.generate(["the"], SamplingParams(max_tokens=40, logprobs=3, ignore_eos=True))
