"""With a seed, speculative text equals plain text for every sampling option, and plain text follows the analytic distribution."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, SuffixDrafter
from covey.drafters.corpus import Corpus
from covey.model.sampling import Position, choose_tokens, process
from covey.types import Sequence
from tests.exactness.controllers import controller
from tests.exactness.drafters import BranchingDrafter, BrokenDrafter, ScriptedDrafter, stacked_kin, untrained_draft

# Each chi-square test below rejects a correct sampler with this probability; seeds are fixed.
FALSE_ALARM = 1e-4

OPTIONS = {
    "greedy": {},
    "temperature": {"temperature": 0.8},
    "hot": {"temperature": 1.7},
    "top_k": {"temperature": 1.0, "top_k": 5},
    "top_p": {"temperature": 1.0, "top_p": 0.8},
    "min_p": {"temperature": 1.0, "min_p": 0.1},
    "all truncations": {"temperature": 1.2, "top_k": 20, "top_p": 0.9, "min_p": 0.02},
    "presence": {"temperature": 0.7, "presence_penalty": 1.5},
    "frequency": {"temperature": 0.7, "frequency_penalty": 0.8},
    "negative frequency": {"temperature": 0.7, "frequency_penalty": -0.8},
    "repetition": {"temperature": 0.7, "repetition_penalty": 1.4},
    "greedy repetition": {"repetition_penalty": 1.4},
    "greedy frequency": {"frequency_penalty": 0.5},
    "bias": {"temperature": 0.9, "logit_bias": {5: 4.0, 9: -100.0}},
    "greedy bias": {"logit_bias": {5: 4.0, 9: -100.0}},
    "min_tokens": {"temperature": 1.0, "min_tokens": 20, "logit_bias": {0: 8.0}},
    "greedy min_tokens": {"min_tokens": 20, "logit_bias": {0: 100.0}},
    "end token": {"temperature": 1.0, "logit_bias": {0: 3.0}},
    "ignore_eos": {"temperature": 1.0, "logit_bias": {0: 3.0}, "ignore_eos": True},
    "stop ids": {"temperature": 1.0, "stop_token_ids": [7, 8, 9, 10, 11, 12]},
    "stop strings": {"temperature": 1.0, "stop": ["e", "th", "o bird"]},
    "n": {"temperature": 1.0, "n": 3},
    "logprobs": {"temperature": 1.0, "logprobs": 4},
    "cap": {"temperature": 1.0, "speculation": {"num_tokens": 2}},
    "off": {"temperature": 1.0, "speculation": {"num_tokens": 0}},
}
PROMPTS = ["the birds fly over the hill and then the birds fly", "a covey flies", "b"]


def outcome(completions):
    return [(c.token_ids, c.text, c.finish_reason, [x.token for x in c.logprobs] if c.logprobs else None) for c in completions]


def both(target, drafter, params, prompts, lengths="fixed-5", pipeline="serial", **options):
    """What plain and speculative decoding give, and the statistics of the latter."""
    results = []
    for drafters in ([], [drafter]):
        sizes = {"max_num_seqs": 3, "num_speculative_tokens": 8, "prefill_chunk": 16}
        with LLM(target, drafters=drafters, pipeline=pipeline, **sizes, **options) as llm:
            llm.served().engine.controller = controller(lengths)
            results.append(llm.generate(prompts, params, progress=False))
    return results


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("drafter", "lengths", "pipeline"),
    [
        *(
            (name, "fixed-5", "serial")
            for name in ("model", "suffix", "corpus", "self", "collective", "mixture", "kin", "wrong", "often right", "branching")
        ),
        *((name, "random", "serial") for name in ("model", "self", "mixture", "kin")),
        *((name, "fixed-5", "overlapped") for name in ("model", "self", "mixture", "kin")),
    ],
)
def test_speculative_equals_plain_with_the_same_seed(option, drafter, lengths, pipeline, tiny):
    """A real model (random Llama, float64), whose drafter is another one or knows the answer."""
    path = str(tiny("llama"))
    params = SamplingParams(max_tokens=32, seed=11, **OPTIONS[option])
    ids = [[5, 6, 7, 8, 5, 6, 7], [100, 3], [9] * 20]
    kind = {"dtype": "float64", "device": "cpu"}
    with LLM(path, drafters=[], **kind) as llm:
        texts = {tuple(ids[c.prompt_index]): c.token_ids for c in llm.generate(ids, params, progress=False) if c.index == 0}
    made = {
        "model": lambda: ModelDrafter(str(tiny("llama", seed=1, layers=1)), **kind),
        "suffix": SuffixDrafter,
        "corpus": lambda: SuffixDrafter(Corpus.of([*texts.values(), [5, 9, 9]]), min_survival=0.0),
        "self": lambda: untrained_draft(path, "self", "float64"),
        "collective": lambda: CollectiveDrafter(
            [SuffixDrafter(), ScriptedDrafter(texts, wrong_every=3), untrained_draft(path, "self", "float64")]
        ),
        "mixture": lambda: CollectiveDrafter(
            [SuffixDrafter(), ModelDrafter(str(tiny("llama", seed=1, layers=1)), **kind), ScriptedDrafter(texts, wrong_every=3)],
            vote="mixture",
        ),
        "kin": lambda: stacked_kin(path, "self", "float64", vote="mixture"),
        "wrong": lambda: ScriptedDrafter(texts, wrong_every=1),
        "often right": lambda: ScriptedDrafter(texts, wrong_every=4),
        "branching": lambda: BranchingDrafter(texts, wrong_every=3),
    }[drafter]()
    plain, speculative = both(path, made, params, ids, lengths, pipeline, **kind)
    assert outcome(speculative) == outcome(plain)
    if params.logprobs is not None:
        for a, b in zip(plain, speculative, strict=True):
            assert [x.top for x in a.logprobs] == [tuple((t, pytest.approx(v)) for t, v in x.top) for x in b.logprobs]
    drafted = sum(c.stats.num_draft_tokens for c in speculative)
    if option == "off":
        assert drafted == 0
    elif drafter != "suffix" and lengths != "random":
        assert drafted > 0


@pytest.mark.parametrize(("lengths", "pipeline"), [("fixed-5", "serial"), ("random", "overlapped"), ("goodput", "auto")])
@pytest.mark.parametrize("option", OPTIONS)
def test_speculative_equals_plain_on_the_toy_target(option, lengths, pipeline):
    """Text, too: stop strings and characters across token borders, with drafts that run past the end."""
    params = SamplingParams(max_tokens=40, seed=2, **OPTIONS[option])
    with LLM("toy", drafters=[]) as llm:
        texts = {tuple(llm.encode(PROMPTS[c.prompt_index])): c.token_ids for c in llm.generate(PROMPTS, params) if c.index == 0}
    plain, speculative = both("toy", ScriptedDrafter(texts, wrong_every=9), params, PROMPTS, lengths, pipeline)
    assert outcome(speculative) == outcome(plain)


@pytest.mark.parametrize("kind", ["raises", "too few", "negative", "beyond the vocabulary", "too long", "stale"])
def test_a_broken_drafter_changes_nothing(kind):
    plain, speculative = both("toy", BrokenDrafter(kind), SamplingParams(max_tokens=30, temperature=1.0, seed=1), PROMPTS)
    assert outcome(speculative) == outcome(plain)


def test_the_same_request_gives_the_same_text_in_any_batch():
    params = SamplingParams(max_tokens=30, temperature=1.0, seed=5)
    with LLM("toy") as llm:
        together = llm.generate(PROMPTS, params)
        alone = [llm.generate(p, params)[0] for p in PROMPTS]
    assert outcome(together) == outcome(alone)


def test_completions_of_one_request_differ():
    with LLM("toy") as llm:
        done = llm.generate("the birds", SamplingParams(max_tokens=30, temperature=1.0, seed=5, n=4))
    assert len({tuple(c.token_ids) for c in done}) == 4


def softmax_after(option: dict, logits: torch.Tensor, tokens: list[int]) -> torch.Tensor:
    """The analytic distribution, written down a second time and plainly: sorts, loops, float64."""
    x = logits.double().clone()
    prompt, output = tokens[:2], tokens[2:]
    for t in set(tokens):
        r = option.get("repetition_penalty", 1.0)
        x[t] = x[t] / r if x[t] > 0 else x[t] * r
    for t in set(output):
        x[t] -= option.get("presence_penalty", 0.0) + option.get("frequency_penalty", 0.0) * output.count(t)
    for t, bias in option.get("logit_bias", {}).items():
        x[t] += bias
    assert len(prompt) == 2
    x = x / option["temperature"]
    if k := option.get("top_k"):
        x[x < x.sort(descending=True).values[k - 1]] = -math.inf
    if (top_p := option.get("top_p", 1.0)) < 1:
        p, order = x.softmax(0).sort(descending=True)
        keep, total = [], 0.0
        for mass, token in zip(p.tolist(), order.tolist(), strict=True):
            keep.append(token)
            total += mass
            if total >= top_p:
                break
        x[[t for t in range(len(x)) if t not in keep]] = -math.inf
    p = x.softmax(0)
    p[p < option.get("min_p", 0.0) * p.max()] = 0.0
    return p / p.sum()


ANALYTIC = [name for name in OPTIONS if OPTIONS[name].get("temperature") and "token" not in name and "stop" not in name]


@pytest.mark.parametrize("option", ANALYTIC)
def test_plain_sampling_follows_the_analytic_distribution(option):
    """20,000 draws over different seeds against the distribution written down independently; vocabulary 24."""
    settings = {k: v for k, v in OPTIONS[option].items() if k not in ("n", "logprobs", "speculation", "ignore_eos")}
    logits = torch.randn(24, generator=torch.Generator().manual_seed(3)) * 1.5
    tokens, draws = [1, 5, 5, 9, 2, 5], 20_000
    params = SamplingParams(**settings)
    expected = softmax_after(settings, logits, tokens)
    sequences = [Sequence(i, tuple(tokens[:2]), params, seed=i * 7919) for i in range(draws)]
    for sequence in sequences:
        sequence.commit(tokens[2:])
    shared = process(logits, Position(sequences[0]))
    torch.testing.assert_close(shared.double().softmax(0), expected, atol=1e-6, rtol=1e-5)
    counts = torch.zeros(24, dtype=torch.float64)
    for at in range(0, draws, 4000):
        some = [Position(s) for s in sequences[at : at + 4000]]
        chosen = choose_tokens(logits.expand(len(some), -1), some)
        counts += torch.bincount(torch.tensor(chosen), minlength=24)
    possible = expected > 0
    assert counts[~possible].sum() == 0
    if possible.sum() > 1:
        assert stats.chisquare(counts[possible].numpy(), (expected[possible] * draws).numpy()).pvalue > FALSE_ALARM


def test_generated_tokens_follow_the_analytic_distribution_of_a_markov_target():
    """Through the whole engine, speculation on: the second token's frequencies given the first, over 3,000 completions."""
    params = SamplingParams(temperature=1.0, top_k=4, max_tokens=2, seed=1, n=100)
    with LLM("toy", max_num_seqs=64) as llm:
        prompt = llm.encode("the birds")
        done = [c for s in range(30) for c in llm.generate(prompt, SamplingParams(**{**vars(params), "seed": s}))]
        first = max({c.token_ids[0] for c in done}, key=lambda t: sum(c.token_ids[0] == t for c in done))
        logits = llm.target.logits([*prompt, first])
    seconds = [c.token_ids[1] for c in done if c.token_ids[0] == first and len(c.token_ids) > 1]
    best = logits.topk(4)
    expected = best.values.softmax(0) * len(seconds)
    assert stats.chisquare([seconds.count(t) for t in best.indices.tolist()], expected.numpy()).pvalue > FALSE_ALARM
