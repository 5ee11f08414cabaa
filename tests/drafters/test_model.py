"""A draft model's limits: it stops drafting, not the request; and a different tokenizer is refused."""

import pytest
import torch

from covey import LLM, SamplingParams
from covey.drafters import ModelDrafter
from covey.errors import UnsupportedError
from covey.model import linear
from covey.model.load import load

KIND = {"dtype": "float64", "device": "cpu"}


def test_past_its_context_limit_it_stops_drafting_and_the_request_goes_on(tiny):
    path, prompt, params = str(tiny("llama")), [5, 6, 7, 8], SamplingParams(max_tokens=40, ignore_eos=True)
    drafter = ModelDrafter(path, **KIND)
    drafter.max_position = 20
    rounds = []
    with LLM(path, drafters=[], **KIND) as llm:
        expected = llm.generate(prompt, params)[0].token_ids
    with LLM(path, drafters=[drafter], **KIND) as llm:
        llm.observe(rounds.append)
        assert llm.generate(prompt, params)[0].token_ids == expected
    drafted = [r for r in rounds if r.drafted]
    assert drafted and max(r.start + len(r.drafted) for r in drafted) <= 21
    assert rounds[-1].start > 21


def test_a_draft_model_of_another_tokenizer_is_refused(tiny):
    with pytest.raises(UnsupportedError, match="another tokenizer"):
        LLM("toy", drafters=[ModelDrafter(str(tiny("llama")), **KIND)])


def rounds(dtype):
    missing = not linear.can_round(dtype, torch.device("cpu"))
    name = str(dtype).removeprefix("torch.")
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason="rounded weights are not faster here"), id=name)


@pytest.mark.parametrize("dtype", [rounds(torch.bfloat16), rounds(torch.float32)])
def test_one_that_is_named_runs_through_rounded_weights_and_one_that_may_be_a_target_as_it_is(dtype, tiny):
    path, kind = str(tiny("llama")), {"dtype": dtype, "device": "cpu"}
    named, given = ModelDrafter(path, **kind), ModelDrafter(load(path, **kind))
    saved = linear.saved_bytes(named.runner.model)
    assert saved != 0 == linear.saved_bytes(given.runner.model)
    assert (saved > 0) == (dtype == "float32")  # eight bits stand beside the weights, sixteen in their place
    assert named.parameter_bytes == given.parameter_bytes - saved
    rounds = []
    with LLM(path, drafters=[named], controller="fixed", num_speculative_tokens=4, **kind) as llm:
        assert linear.saved_bytes(llm.served().target.runner.model) == 0
        llm.observe(rounds.append)
        llm.generate([5, 6, 7, 8], SamplingParams(max_tokens=40, ignore_eos=True))
    drafted, accepted = (sum(counts) for counts in zip(*((len(r.drafted), r.accepted) for r in rounds), strict=True))
    assert accepted > 0.8 * drafted > 0  # the same weights, but for the rounding
    given.close()
