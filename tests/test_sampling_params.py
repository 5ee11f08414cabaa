"""Sampling parameters refuse what is out of range, naming field and value."""

import pytest

from covey.sampling_params import SamplingParams


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1), ("temperature", float("nan")), ("temperature", 1e-6), ("top_p", 0.0), ("top_p", 1.1), ("min_p", -0.1),
        ("top_k", -1), ("top_k", 1.5), ("presence_penalty", 2.1), ("frequency_penalty", -2.1), ("repetition_penalty", 0.0),
        ("n", 0), ("n", True), ("max_tokens", 0), ("min_tokens", -1), ("min_tokens", 1000), ("seed", -1), ("logprobs", 21),
        ("ignore_eos", 1), ("stop", ""), ("stop", ["a"] * 17), ("stop_token_ids", [-1]), ("logit_bias", {5: 101}),
        ("logit_bias", {-1: 1.0}), ("speculation", {"tokens": 1}), ("speculation", {"num_tokens": -1}),
        ("speculation", {"drafters": "suffix"}), ("speculation", {"drafters": [1]}),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"{field}=.*{field} must be"):
        SamplingParams(**{field: value})


@pytest.mark.parametrize("params", [SamplingParams(logit_bias={99: 1.0}), SamplingParams(stop_token_ids=(99,))])
def test_token_ids_beyond_the_vocabulary_are_refused(params):
    with pytest.raises(ValueError, match="99.*vocabulary size 50"):
        params.check_vocabulary(50)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("json", "grammar='json': grammar must be \"json_object\""),
        ({"regex": "a", "lark": "b"}, "grammar must be .* one kind"),
        ({"bnf": "a"}, "kind 'bnf' is not known: it must be one of json_object, json_schema, regex, lark"),
        ({"regex": ""}, "regex has no text"),
        ({"json_object": "x"}, "json_object takes no text"),
        ({"regex": "a" * (1 << 19)}, "at most 262144 characters"),
        ({"json_schema": "{"}, "json_schema is not JSON"),
        ({"json_schema": "[" * 100_000}, "json_schema is not JSON"),
        ({"json_schema": [1]}, "json_schema is a JSON list"),
        ({"json_schema": {"const": {1}}}, "json_schema is not JSON"),
    ],
)
def test_what_is_no_grammar_is_refused(written, message):
    with pytest.raises(ValueError, match=message):
        SamplingParams(grammar=written)


@pytest.mark.parametrize("option", [{"min_tokens": 2}, {"ignore_eos": True}])
def test_a_grammar_alone_says_when_the_answer_may_end(option):
    with pytest.raises(ValueError, match="with a grammar, which says itself when the answer may end"):
        SamplingParams(grammar="json_object", **option)
