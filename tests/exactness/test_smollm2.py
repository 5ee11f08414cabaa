"""A real model, float32: covey's text is the one that transformers' greedy `generate` gave when it was recorded.

Nine prompts, one of each task; under `slow` ninety, whatever the pipeline, and sampled, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from covey import LLM, SamplingParams
from covey.config import cache_dir
from covey.config.catalogue import PIPELINES
from covey.drafters import CollectiveDrafter, make_drafter
from tests.exactness.drafters import BranchingDrafter, ScriptedDrafter
from tests.exactness.smollm2 import TOKENS, Case, cases

pytestmark = pytest.mark.skipif(
    not Path(cache_dir() / "smollm2").exists(), reason="smollm2 is not in the cache: covey fetch smollm2 puts it there"
)
NINE, NINETY = cases(each=1), cases()
GREEDY = SamplingParams(max_tokens=TOKENS)
FOUR_ALWAYS = {"controller": "fixed", "num_speculative_tokens": 4}
Texts = dict[str, list[int]]


def recorded(chosen: list[Case]) -> Texts:
    return {case.id: case.tokens for case in chosen}


def generated(chosen: list[Case], params: SamplingParams = GREEDY, **options: Any) -> tuple[Texts, int]:
    """The text of each case, and how many drafted tokens were accepted in all. No rows are left behind."""
    with LLM("smollm2", **options, dtype="float32", device="cpu", max_model_len=640) as llm:
        done = llm.generate([case.prompt for case in chosen], params, progress=False)
        assert llm.target.rows.num_available == llm.target.rows.num_blocks
    return {case.id: d.token_ids for case, d in zip(chosen, done, strict=True)}, sum(d.stats.num_accepted_tokens for d in done)


@pytest.mark.parametrize("drafter", ["plain", "suffix", "nested", "collective", "mixture", "often right", "branching"])
def test_text_is_the_recorded_text_of_transformers(drafter):
    drafters = {
        "plain": list,
        "suffix": lambda: ["suffix"],
        "nested": lambda: ["nested:smollm2"],
        "collective": lambda: ["suffix:smollm2", "nested:smollm2"],
        "mixture": lambda: [
            CollectiveDrafter(
                [make_drafter(name, dtype="float32") for name in ("suffix", "nested:smollm2", "nested:smollm2-code")], vote="mixture"
            )
        ],
        "often right": lambda: [ScriptedDrafter({tuple(case.prompt): case.tokens for case in NINE}, wrong_every=5)],
        "branching": lambda: [BranchingDrafter({tuple(case.prompt): case.tokens for case in NINE}, wrong_every=3)],
    }[drafter]()
    texts, accepted = generated(NINE, drafters=drafters, max_num_seqs=9)
    assert texts == recorded(NINE)
    assert (accepted > 0) == (drafter != "plain")


@pytest.mark.parametrize(
    ("drafters", "batch", "pipeline"),
    [
        ("suffix:smollm2 nested:smollm2", 1, "overlapped"),
        ("nested:smollm2", 8, "overlapped"),
        *(
            pytest.param(drafters, batch, pipeline, marks=pytest.mark.slow)
            for drafters in ("suffix", "nested:smollm2", "model:smollm2", "suffix:smollm2 nested:smollm2 nested:smollm2-code")
            for batch in (1, 8)
            for pipeline in ("overlapped", "auto")
        ),
    ],
)
def test_text_is_the_same_whatever_the_pipeline(drafters, batch, pipeline):
    texts, accepted = generated(NINE, drafters=drafters.split(), pipeline=pipeline, max_num_seqs=batch, **FOUR_ALWAYS)
    assert texts == recorded(NINE)
    assert accepted > 0


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_ninety_texts_are_the_recorded_ones_whatever_the_pipeline(pipeline, batch):
    texts, accepted = generated(NINETY, drafters=["suffix:smollm2", "nested:smollm2"], pipeline=pipeline, max_num_seqs=batch, **FOUR_ALWAYS)
    assert texts == recorded(NINETY)
    assert accepted > 0


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
def test_ninety_sampled_texts_are_those_of_plain_decoding_whatever_the_pipeline(batch):
    params = SamplingParams(max_tokens=TOKENS, temperature=0.9, seed=11)
    plain, _ = generated(NINETY, params, drafters=[], max_num_seqs=batch)
    assert plain != recorded(NINETY)
    for pipeline in PIPELINES:
        drafting = {"drafters": ["suffix:smollm2", "nested:smollm2"], "pipeline": pipeline, **FOUR_ALWAYS}
        texts, accepted = generated(NINETY, params, **drafting, max_num_seqs=batch)
        assert texts == plain
        assert accepted > 0


def test_a_draft_model_equal_to_the_target_is_always_accepted():
    options = {"controller": "fixed", "branches": "off", "dtype": "float32", "device": "cpu", "max_model_len": 640}
    with LLM("smollm2", drafters=["model:smollm2"], **options) as llm:
        done = llm.generate(NINE[0].prompt, GREEDY, progress=False)[0]
    assert done.token_ids == NINE[0].tokens
    assert done.stats.num_accepted_tokens == done.stats.num_draft_tokens > 0
