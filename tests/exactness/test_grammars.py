"""Grammars under speculation: the text of plain decoding, always what the grammar allows, drawn from the masked distribution."""

from __future__ import annotations

import json
import re

import pytest
import torch
from scipy import stats

from covey import LLM, Grammar, SamplingParams
from covey.drafters import CollectiveDrafter, GrammarDrafter, ModelDrafter, SuffixDrafter
from covey.model.grammars import Grammars
from covey.model.sampling import Position, choose_tokens, process, weigh_choices
from covey.toy import ToyTokenizer
from covey.types import Sequence
from tests.exactness.controllers import controller
from tests.exactness.drafters import BranchingDrafter, ScriptedDrafter, untrained_draft

jsonschema_rs = pytest.importorskip("jsonschema_rs")
pytest.importorskip("llguidance")

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "kind": {"enum": ["partridge", "partridges", "quail"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "required": ["name", "kind", "age"],
    "additionalProperties": False,
}
GRAMMARS = {
    "schema": Grammar.json_schema(PERSON),
    "regex": Grammar("regex", r"(the birds? (fly|sing)[,.] ?){1,4}[0-9]{2,}"),
    "any object": Grammar("json_object"),
    "lark": Grammar("lark", 'start: "(" start ")" | /[a-z]{1,9}/ | start " and " start'),
}
SAMPLED = {
    "greedy": {},
    "sampled": {"temperature": 1.0},
    "truncated": {"temperature": 1.3, "top_k": 4, "repetition_penalty": 1.2},
    "cut": {"temperature": 1.0, "stop": ["d", "12"], "max_tokens": 9},
    "stop ids": {"temperature": 1.0, "stop_token_ids": [7, 8, 9, 70], "logprobs": 2},
    "n": {"temperature": 0.8, "n": 2},
}
IDS = [[5, 6, 7, 8, 5, 6, 7], [100, 3], [9] * 20]


def outcome(completions):
    return [(c.token_ids, c.text, c.finish_reason, [x.token for x in c.logprobs] if c.logprobs else None) for c in completions]


def satisfied(grammar: Grammar, text: str) -> bool:
    if grammar.kind == "json_schema":
        return jsonschema_rs.is_valid(json.loads(grammar.text), json.loads(text))
    if grammar.kind == "json_object":
        return isinstance(json.loads(text), dict)
    if grammar.kind == "regex":
        return re.fullmatch(grammar.text, text) is not None
    while (inner := re.sub(r"\(([a-z]+|[a-z]+( and [a-z]+)+)\)", "x", text)) != text:
        text = inner
    return re.fullmatch(r"[a-z]+( and [a-z]+)*", text) is not None


def check_valid(completions, grammar: Grammar, params: SamplingParams) -> None:
    for done in completions:
        assert done.finish_reason in ("stop", "length"), done.error
        if done.finish_reason == "length":
            assert len(done.token_ids) == params.max_tokens
        elif not params.stop and not params.stop_token_ids:
            assert satisfied(grammar, done.text), done.text


def run(target, drafters, prompts, params, lengths="fixed-5", **options):
    with LLM(target, drafters=drafters, max_num_seqs=3, num_speculative_tokens=8, prefill_chunk=16, **options) as llm:
        llm.served().engine.controller = controller(lengths)
        return llm.generate(prompts, params, progress=False)


@pytest.mark.parametrize("option", SAMPLED)
@pytest.mark.parametrize("grammar", ["schema", "regex"])
@pytest.mark.parametrize(
    ("drafter", "pipeline"),
    [*((name, "serial") for name in ("model", "self", "collective", "mixture", "often right", "branching")), ("collective", "overlapped")],
)
def test_speculative_equals_plain_and_is_valid(grammar, option, drafter, pipeline, tiny):
    """A real model (random Llama, float64) under a grammar that it knows nothing of, with random draft lengths."""
    path, kind = str(tiny("llama")), {"dtype": "float64", "device": "cpu"}
    params = SamplingParams(**{"max_tokens": 60, "seed": 5, "grammar": GRAMMARS[grammar], **SAMPLED[option]})
    plain = run(path, [], IDS, params, **kind)
    texts = {tuple(IDS[c.prompt_index]): c.token_ids for c in plain if c.index == 0}
    made = {
        "model": lambda: ModelDrafter(str(tiny("llama", seed=1, layers=1)), **kind),
        "self": lambda: untrained_draft(path, "self", "float64"),
        "collective": lambda: CollectiveDrafter([GrammarDrafter(), SuffixDrafter(), untrained_draft(path, "self", "float64")]),
        "mixture": lambda: CollectiveDrafter(
            [GrammarDrafter(), ModelDrafter(str(tiny("llama", seed=1, layers=1)), **kind), ScriptedDrafter(texts, wrong_every=3)],
            vote="mixture",
        ),
        "often right": lambda: ScriptedDrafter(texts, wrong_every=4),
        "branching": lambda: BranchingDrafter(texts, wrong_every=3),
    }[drafter]()
    speculative = run(path, [made], IDS, params, "random", pipeline=pipeline, **kind)
    assert outcome(speculative) == outcome(plain)
    check_valid(speculative, GRAMMARS[grammar], params)


@pytest.mark.parametrize("option", SAMPLED)
@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.parametrize("lengths", ["fixed-5", "goodput"])
@pytest.mark.parametrize("pipeline", ["serial", "overlapped"])
def test_speculative_equals_plain_on_the_toy_target(grammar, option, lengths, pipeline):
    params = SamplingParams(**{"max_tokens": 80, "seed": 3, "grammar": GRAMMARS[grammar], **SAMPLED[option]})
    prompts = ["the birds fly over the hill", '{"name": "', "b"]
    plain = run("toy", [], prompts, params)
    speculative = run("toy", ["suffix", "grammar"], prompts, params, lengths, pipeline=pipeline)
    assert outcome(speculative) == outcome(plain)
    check_valid(speculative, GRAMMARS[grammar], params)


def test_a_grammar_leaves_the_others_of_its_batch_alone():
    free = SamplingParams(max_tokens=20, temperature=1.0, seed=1)
    bound = SamplingParams(max_tokens=20, temperature=1.0, seed=1, grammar=GRAMMARS["regex"])
    with LLM("toy", drafters=["suffix", "grammar"], controller="fixed") as llm:
        together = llm.generate(["the birds", "the birds"], [free, bound], progress=False)
        alone = [llm.generate("the birds", params, progress=False)[0] for params in (free, bound)]
    assert outcome(together) == outcome(alone)


def constrained(grammar: Grammar, seed: int = 0, **sampling) -> Sequence:
    ends = frozenset({ToyTokenizer.end_id})
    tokenizer = ToyTokenizer()
    constraint = Grammars(tokenizer, tokenizer.vocab_size, ends).constraint(grammar, ends)
    return Sequence(1, (1, 2), SamplingParams(grammar=grammar, **sampling), seed=seed, end_ids=ends, constraint=constraint)


@pytest.mark.parametrize("drafted", ["", "ab", "abc"])
def test_sampling_follows_the_masked_and_renormalised_distribution(drafted):
    """10,000 draws against the distribution written down: what the language {a..d}* of one to three letters allows, and the end."""
    encode = ToyTokenizer().encode
    sequence = constrained(Grammar("regex", "[a-d]{1,3}"), temperature=0.7)
    logits = torch.randn(ToyTokenizer().vocab_size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    letters, end = encode("abcd"), [ToyTokenizer.end_id]
    possible = {"": letters, "ab": [*letters, *end], "abc": end}[drafted]
    expected = torch.zeros_like(logits)
    expected[possible] = (logits[possible] / 0.7).softmax(0)
    position = Position(sequence, tuple(encode(drafted)))
    torch.testing.assert_close(process(logits, position).softmax(0), expected)
    draws = 10_000
    places = [
        Position(Sequence(i, (1, 2), sequence.params, i * 7919, constraint=sequence.constraint), position.drafted) for i in range(draws)
    ]
    counts = torch.bincount(torch.tensor(choose_tokens(logits.expand(draws, -1), places)), minlength=len(logits))
    assert counts.sum() == counts[possible].sum()
    if len(possible) > 1:
        assert stats.chisquare(counts[possible].numpy(), (expected[possible] * draws).numpy()).pvalue > 1e-4


def test_a_draft_model_that_has_none_of_the_allowed_tokens_drafts_one_all_the_same():
    sequence = constrained(Grammar("regex", "yes"))
    logits = torch.full((ToyTokenizer().vocab_size,), float("-inf"))
    logits[1] = 0.0
    (choice,) = weigh_choices(logits[None], [Position(sequence)])
    assert (choice.token, choice.probability) == (ToyTokenizer().encode("y")[0], 1.0)


def test_logprobs_are_those_of_the_unprocessed_distribution():
    params = SamplingParams(max_tokens=3, logprobs=0, grammar=Grammar("regex", "zzz"))
    with LLM("toy", drafters=["grammar"], controller="fixed") as llm:
        done = llm.generate("the birds", params, progress=False)[0]
        expected = llm.target.logits(llm.encode("the birds")).log_softmax(0)[done.token_ids[0]]
    assert done.text == "zzz" and done.stats.num_accepted_tokens > 0
    assert done.logprobs[0].logprob == pytest.approx(float(expected)) and done.logprobs[0].logprob < -1


def test_tokens_that_a_grammar_forces_are_drafted_and_all_accepted():
    params = SamplingParams(max_tokens=64, grammar=Grammar("regex", "a grey bird sings, and then it flies home"))
    with LLM("toy", drafters=["grammar"], controller="fixed", num_speculative_tokens=8) as llm:
        done = llm.generate("the birds", params, progress=False)[0]
    assert done.text == params.grammar.text and done.finish_reason == "stop"
    assert done.stats.num_accepted_tokens == done.stats.num_draft_tokens == len(done.token_ids) - 1


def test_what_the_grammar_forbids_is_not_sent_to_the_target():
    texts = {tuple(ToyTokenizer().encode("b")): ToyTokenizer().encode("yesterday")}
    with LLM("toy", drafters=[ScriptedDrafter(texts)], controller="fixed") as llm:
        done = llm.generate("b", SamplingParams(grammar=Grammar("regex", "yes")), progress=False)[0]
    assert done.text == "yes" and done.stats.num_draft_tokens == done.stats.num_accepted_tokens


def test_a_grammar_that_leads_nowhere_is_an_error_of_its_request_alone():
    """The toy vocabulary has no é: what began as a possible text cannot be completed."""
    params = [SamplingParams(max_tokens=8, grammar=Grammar("regex", "bé")), SamplingParams(max_tokens=8)]
    for drafters in ([], ["suffix", "grammar"]):
        with LLM("toy", drafters=drafters, controller="fixed") as llm:
            failed, other = llm.generate(["b", "b"], params, progress=False)
        assert failed.finish_reason == "error" and failed.error.startswith("grammar: the answer cannot be completed")
        assert other.finish_reason == "length" and other.error is None
