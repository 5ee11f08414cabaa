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
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"{field}=.*{field} must be"):
        SamplingParams(**{field: value})


@pytest.mark.parametrize("params", [SamplingParams(logit_bias={99: 1.0}), SamplingParams(stop_token_ids=(99,))])
def test_token_ids_beyond_the_vocabulary_are_refused(params):
    with pytest.raises(ValueError, match="99.*vocabulary size 50"):
        params.check_vocabulary(50)
