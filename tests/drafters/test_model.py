"""A draft model's limits: it stops drafting, not the request; and a different tokenizer is refused."""

import pytest

from covey import LLM, SamplingParams
from covey.drafters import ModelDrafter
from covey.errors import UnsupportedError

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
