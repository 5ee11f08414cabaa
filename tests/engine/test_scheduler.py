"""Prompts are cut at the same places whatever else is read in a step."""

from __future__ import annotations

from collections import defaultdict

import pytest

from covey import LLM, SamplingParams
from covey.rows import READ_AT_ONCE


@pytest.mark.parametrize("chunk", [1, 48, READ_AT_ONCE, 200, 300])
def test_prompts_are_cut_at_the_same_places_in_any_company(chunk):
    lengths, ends = [300, 90, 500, 140, 257], defaultdict(list)
    prompts = [[10 + number] * length for number, length in enumerate(lengths)]

    def note(happened):
        if happened.prefilled:
            ends[happened.sequence_id].append(happened.prefilled + (ends[happened.sequence_id] or [0])[-1])

    with LLM("toy", drafters=[], max_num_seqs=4, prefill_chunk=chunk, max_model_len=600, prefix_reuse=False) as llm:
        llm.observe(note)
        done = llm.generate(prompts, SamplingParams(max_tokens=3, ignore_eos=True), progress=False)
    assert all(len(each.token_ids) == 3 for each in done)
    for found, length in zip(ends.values(), lengths, strict=True):
        assert found[-1] in (length - 1, length)  # a lone last token is not read but decoded
        assert all(end % min(chunk, READ_AT_ONCE) == 0 for end in found[:-1])
