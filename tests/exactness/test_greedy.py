"""Greedy speculative text equals transformers' own greedy `generate`, token for token, whatever drafts.

The quick matrix pairs every family with every drafter, and spreads dtype, batch size, prefill chunk, draft length and pipeline
so that every two values of any two of them meet; `--slow` runs the full product, each
batch size and chunk with one pipeline.
"""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, SuffixDrafter
from covey.drafters.corpus import Corpus
from covey.model.load import load
from tests.exactness.controllers import controller
from tests.exactness.drafters import BranchingDrafter, ScriptedDrafter, stacked_kin, untrained_draft
from tests.model.tiny import FAMILIES

DRAFTERS = ("model", "same model", "nested", "self", "suffix", "corpus", "collective", "kin", "wrong", "right", "often right", "branching")
DTYPES = ("float32", "float64")
BATCHES = (1, 8)
CHUNKS = (256, 7)
LENGTHS = ("fixed-4", "fixed-1", "fixed-9", "random", "goodput", "smurfs", "heuristic", "confidence", "table", "watch")
PIPELINES = ("serial", "overlapped", "auto")
NEW_TOKENS = 40

Case = tuple[str, str, str, int, int, str, str]
NO_NESTED_DRAFT = ("gemma2", "gemma3", "gpt2", "opt")  # refused by name: tests/model/test_exits.py
PRODUCT: list[Case] = [
    case
    for case in itertools.product(FAMILIES, DRAFTERS, DTYPES, BATCHES, CHUNKS, LENGTHS, PIPELINES)
    if not (case[0] in NO_NESTED_DRAFT and case[1] in ("nested", "self", "kin"))
]


def pairwise(product: list[Case]) -> list[Case]:
    """A small part of the product in which every two values of different factors meet: greedy covering, fixed seed."""

    def pairs(case: Case) -> set[tuple[int, object, int, object]]:
        return {(i, case[i], j, case[j]) for i, j in itertools.combinations(range(len(case)), 2)}

    left = set().union(*map(pairs, product))
    pool, chosen = list(product), []
    random.Random(0).shuffle(pool)
    while left:
        best = max(pool[:200], key=lambda case: len(pairs(case) & left))
        if not pairs(best) & left:
            pool = pool[200:] + pool[:200]
            continue
        chosen.append(best)
        left -= pairs(best)
        pool.remove(best)
    return chosen


def test_the_quick_matrix_covers_every_pair():
    seen = {(i, c[i], j, c[j]) for c in pairwise(PRODUCT) for i, j in itertools.combinations(range(7), 2)}
    assert seen == {(i, c[i], j, c[j]) for c in PRODUCT for i, j in itertools.combinations(range(7), 2)}


def prompts(vocab: int, count: int) -> list[list[int]]:
    """Token ids of very different lengths, with repetitions for the suffix drafter."""
    chooser = random.Random(7)
    lengths = [23, 3, 61, 1, 12, 40, 33, 5][:count]
    return [([chooser.randrange(3, vocab) for _ in range(6)] * 11)[:length] for length in lengths]


def check(case: Case, tiny, reference) -> None:
    family, drafter, dtype, batch, chunk, length, pipeline = case
    path = tiny(family)
    expected = reference(family, dtype)
    asked = prompts(expected.vocab_size, batch)
    texts = {tuple(p): expected.greedy(p, NEW_TOKENS) for p in asked}
    drafters = {
        "model": lambda: ModelDrafter(str(tiny(family, seed=1, layers=1)), dtype=dtype, device="cpu"),
        "same model": lambda: ModelDrafter(load(str(path), dtype=dtype, device="cpu")),  # as it is: named, its weights may be rounded
        "nested": lambda: untrained_draft(str(path), "standalone", dtype),
        "self": lambda: untrained_draft(str(path), "self", dtype),
        "suffix": SuffixDrafter,
        "corpus": lambda: SuffixDrafter(Corpus.of([text[5:] for text in texts.values()] + asked)),
        "collective": lambda: CollectiveDrafter(
            [
                SuffixDrafter(),
                ScriptedDrafter(texts, wrong_every=4),
                ModelDrafter(str(tiny(family, seed=1, layers=1)), dtype=dtype, device="cpu"),
                *([] if family in NO_NESTED_DRAFT else [untrained_draft(str(path), "self", dtype)]),
            ],
            vote={"fixed-1": "mixture", "fixed-9": "sequence", "random": "sequence" if batch == 1 else "mixture"}.get(length, "token"),
        ),
        "kin": lambda: stacked_kin(str(path), "self" if batch == 1 else "standalone", dtype),
        "wrong": lambda: ScriptedDrafter(texts, wrong_every=1),
        "right": lambda: ScriptedDrafter(texts),
        "often right": lambda: ScriptedDrafter(texts, wrong_every=3),
        "branching": lambda: BranchingDrafter(texts, wrong_every=3),
    }
    with LLM(
        str(path),
        drafters=[drafters[drafter]()],
        dtype=dtype,
        device="cpu",
        num_speculative_tokens=9,
        prefill_chunk=chunk,
        max_num_seqs=5,
        pipeline=pipeline,
        branches="off" if drafter == "same model" else "on",  # whose own choice is always right
    ) as llm:
        llm.served().engine.controller = controller(length)
        done = llm.generate(asked, SamplingParams(max_tokens=NEW_TOKENS), progress=False)
    for completion, prompt in zip(done, asked, strict=True):
        assert completion.token_ids == texts[tuple(prompt)]
        stats = completion.stats
        if drafter in ("right", "same model"):
            assert stats.num_accepted_tokens == stats.num_draft_tokens
        if drafter == "wrong":
            assert stats.num_accepted_tokens == 0
        if drafter in ("right", "same model", "wrong") and length.startswith("fixed"):
            assert stats.num_draft_tokens > 0


@pytest.mark.parametrize("case", pairwise(PRODUCT), ids=lambda c: "-".join(map(str, c)))
def test_greedy_text_is_that_of_transformers(case, tiny, reference):
    check(case, tiny, reference)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in PRODUCT if c[6] == PIPELINES[(c[3] + c[4]) % 2]], ids=lambda c: "-".join(map(str, c)))
def test_greedy_text_is_that_of_transformers_full_product(case, tiny, reference):
    check(case, tiny, reference)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_do_not_depend_on_batch_chunk_or_rejected_drafts(family, tiny):
    """Row-addressed attention against transformers' own, at every position: equal to float64 rounding."""
    from transformers import AutoModelForCausalLM

    from covey.model.load import load
    from covey.model.runner import Feed, ModelRunner

    path = str(tiny(family))
    plain = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64, attn_implementation="eager" if family == "gemma2" else "sdpa")
    runner = ModelRunner(load(path, dtype="float64", device="cpu"))
    runner.allocate(24)
    texts = prompts(plain.config.vocab_size, 3)
    rows = [runner.rows.open(i) for i in range(3)]
    for row in rows:
        assert runner.rows.reserve(row, 130)
    runner.forward([Feed(row, 0, text[:1], 1) for row, text in zip(rows, texts, strict=True)])
    runner.forward([Feed(rows[0], 1, [9, 9, 9], 3), Feed(rows[2], 1, [5] * 40, 40)])  # drafts, all rejected
    parts = [Feed(rows[0], 1, texts[0][1:], 22), Feed(rows[1], 1, texts[1][1:], 2), Feed(rows[2], 1, texts[2][1:], 60)]
    logits = runner.forward(parts).split([22, 2, 60])
    for got, text in zip(logits, texts, strict=True):
        with torch.no_grad():
            expected = plain(torch.tensor([text])).logits[0, 1:]
        # transformers' plain attention, the only one for Gemma 2, takes the softmax in float32.
        torch.testing.assert_close(got, expected, rtol=0, atol=2e-4 if family == "gemma2" else 1e-9)
    runner.close()
