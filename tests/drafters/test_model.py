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


@pytest.mark.skipif(not linear.can_pack(torch.bfloat16, torch.device("cpu")), reason="nothing is packed here")
def test_one_that_is_named_runs_through_weights_of_eight_bits_and_one_that_may_be_a_target_as_it_is(tiny):
    path, kind = str(tiny("llama")), {"dtype": "bfloat16", "device": "cpu"}
    named, given = ModelDrafter(path, **kind), ModelDrafter(load(path, **kind))
    assert linear.rounded_bytes(named.runner.model) > 0 == linear.rounded_bytes(given.runner.model)
    assert named.parameter_bytes == given.parameter_bytes + linear.rounded_bytes(named.runner.model)
    rounds = []
    with LLM(path, drafters=[named], controller="fixed", num_speculative_tokens=4, **kind) as llm:
        assert linear.rounded_bytes(llm.served().target.runner.model) == 0
        llm.observe(rounds.append)
        llm.generate([5, 6, 7, 8], SamplingParams(max_tokens=40, ignore_eos=True))
    drafted, accepted = (sum(counts) for counts in zip(*((len(r.drafted), r.accepted) for r in rounds), strict=True))
    assert accepted > 0.8 * drafted > 0  # the same weights, but for the rounding
    given.close()
