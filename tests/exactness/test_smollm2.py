"""A real model, float32: covey's text is the one that transformers' greedy `generate` gave when it was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey import LLM, SamplingParams
from covey.config import cache_dir
from covey.config.catalogue import PIPELINES
from covey.drafters import CollectiveDrafter, make_drafter
from tests.exactness.drafters import ScriptedDrafter
from tests.exactness.smollm2 import DATA

pytestmark = pytest.mark.skipif(
    not Path(cache_dir() / "smollm2").exists(), reason="smollm2 is not in the cache: covey fetch smollm2 puts it there"
)
CASES = json.loads(DATA.read_text())["cases"]


@pytest.mark.parametrize("drafter", ["plain", "suffix", "nested", "collective", "mixture", "often right"])
def test_text_is_the_recorded_text_of_transformers(drafter):
    texts = {tuple(c["prompt"]): c["tokens"] for c in CASES}
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
        "often right": lambda: [ScriptedDrafter(texts, wrong_every=5)],
    }[drafter]()
    with LLM("smollm2", drafters=drafters, dtype="float32", device="cpu", max_model_len=512, max_num_seqs=9) as llm:
        done = llm.generate([c["prompt"] for c in CASES], SamplingParams(max_tokens=32), progress=False)
    assert {c["task"]: d.token_ids for c, d in zip(CASES, done, strict=True)} == {c["task"]: c["tokens"] for c in CASES}
    assert (sum(d.stats.num_accepted_tokens for d in done) > 0) == (drafter != "plain")


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
def test_ninety_sampled_texts_are_the_same_whatever_the_pipeline(batch):
    """Ten completions of each prompt, with warm rows; drafted by a collective under each pipeline, and by nobody."""
    params = SamplingParams(max_tokens=32, temperature=0.9, seed=11, n=10)
    texts = []
    for drafting in ({"drafters": []}, *({"drafters": ["suffix:smollm2", "nested:smollm2"], "pipeline": name} for name in PIPELINES)):
        options = {"controller": "fixed", "num_speculative_tokens": 4, "dtype": "float32", "device": "cpu", "max_model_len": 512}
        with LLM("smollm2", **drafting, **options, max_num_seqs=batch) as llm:
            done = llm.generate([c["prompt"] for c in CASES], params, progress=False)
        assert (sum(d.stats.num_accepted_tokens for d in done) > 0) == bool(drafting["drafters"])
        texts.append([d.token_ids for d in done])
    assert len(texts[0]) == 90
    assert all(each == texts[0] for each in texts[1:])


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
    made = {"drafters": drafters.split(), "controller": "fixed", "num_speculative_tokens": 4, "pipeline": pipeline}
    with LLM("smollm2", **made, dtype="float32", device="cpu", max_model_len=512, max_num_seqs=batch) as llm:
        done = llm.generate([c["prompt"] for c in CASES], SamplingParams(max_tokens=32), progress=False)
        assert llm.target.rows.num_available == llm.target.rows.num_blocks
    assert {c["task"]: d.token_ids for c, d in zip(CASES, done, strict=True)} == {c["task"]: c["tokens"] for c in CASES}
    assert sum(d.stats.num_accepted_tokens for d in done) > 0


def test_a_draft_model_equal_to_the_target_is_always_accepted():
    with LLM("smollm2", drafters=["model:smollm2"], controller="fixed", dtype="float32", device="cpu", max_model_len=512) as llm:
        done = llm.generate(CASES[0]["prompt"], SamplingParams(max_tokens=32), progress=False)[0]
    assert done.token_ids == CASES[0]["tokens"]
    assert done.stats.num_accepted_tokens == done.stats.num_draft_tokens > 0
