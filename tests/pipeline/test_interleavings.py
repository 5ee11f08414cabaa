"""Whatever the order in which drafts and verdicts come, whoever is aborted or fails: the text of plain decoding, and nothing left over.

One seed is one interleaving of drafter and target, in all manners and from one to the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, SuffixDrafter
from covey.engine.generation import Event, Generation
from covey.model.load import load
from covey.model.target import LocalTarget
from covey.toy import ToyTarget
from covey.types import Drafter
from tests.exactness.controllers import RandomLengths, controller
from tests.exactness.drafters import BranchingDrafter, BrokenDrafter, ScriptedDrafter, untrained_draft
from tests.pipeline.virtual import AnyManner, Foreseeing, VirtualLane, served

Texts = dict[tuple[int, ...], list[int]]
TOKENS = 24


def params(number: int) -> SamplingParams:
    options: list[dict[str, Any]] = [{}, {"temperature": 0.9}, {"stop": ["e"]}, {"temperature": 0.7, "presence_penalty": 1.0}]
    return SamplingParams(max_tokens=4 + number * 5 % TOKENS, seed=number, **options[number % 4])


@cache
def toy_texts() -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Prompts of any length, some of which begin alike, and what plain decoding says."""
    chooser = random.Random(5)
    common = [chooser.randrange(1, 90) for _ in range(100)]
    prompts = [common[: 70 * (i % 2)] + [chooser.randrange(1, 90) for _ in range(chooser.randrange(1, 90))] for i in range(10)]
    with LLM("toy", drafters=[]) as llm:
        done = llm.generate(prompts, [params(i) for i in range(10)], progress=False)
    return tuple((tuple(p), tuple(c.token_ids)) for p, c in zip(prompts, done, strict=True))


def drafter_of(kind: str, texts: Texts, chooser: random.Random) -> Drafter:
    made: dict[str, Callable[[], Drafter]] = {
        "foreseeing": lambda: Foreseeing(texts, chooser),
        "suffix": lambda: SuffixDrafter(min_survival=0.0),
        "scripted": lambda: ScriptedDrafter(texts, wrong_every=4),
        "branching": lambda: BranchingDrafter(texts, wrong_every=3),
        "failing": lambda: Foreseeing(texts, chooser, fails=0.1),
        "broken": lambda: BrokenDrafter(chooser.choice(["raises", "too few", "negative", "beyond the vocabulary", "too long", "stale"])),
        **{
            vote: lambda vote=vote: CollectiveDrafter(  # type: ignore[misc]
                [SuffixDrafter(), Foreseeing(texts, chooser), ScriptedDrafter(texts, wrong_every=3)],
                vote=vote,
                thrifty=chooser.random() < 0.5,
                min_survival=0.0,
            )
            for vote in ("token", "mixture", "sequence")
        },
    }
    return made[kind]()


def run(target: Any, drafter: Drafter, texts: Texts, chooser: random.Random, hang: float = 0.0) -> None:
    """Requests come and are aborted at any time; each text is the expected one, or its beginning, and all is given back."""
    lane = VirtualLane(chooser, hang)
    lengths = chooser.choice([RandomLengths(5, chooser.random()), controller("fixed-4"), controller("fixed-1"), controller("goodput-4")])
    sizes = {"max_num_seqs": chooser.randint(1, 6), "prefill_chunk": chooser.choice([16, 256]), "limit": chooser.randint(1, 6)}
    to = served(target, drafter, lane, AnyManner(chooser), lengths, num_blocks=chooser.choice([5, 64]), **sizes)
    engine, ended, asked = to.engine, [], []

    def listen(event: Event) -> None:
        if event.finish_reason:
            ended.append(event.generation)

    prompts = [(number, ids) for number, ids in enumerate(texts)]
    queue = chooser.sample(prompts, chooser.randint(1, len(prompts)))
    while queue or engine.busy:
        while queue and chooser.random() < 0.4:
            number, ids = queue.pop()
            asked += to.generations(list(ids), params(number), listen)
            engine.add(asked[-1])
        engine.step()
        if asked and chooser.random() < 0.05:
            engine.abort(chooser.choice(asked).sequence.request_id)
    assert len(ended) == len(asked)
    for generation in asked:
        check(generation, texts)
    engine.scheduler.ended.clear()
    engine.pipeline.settle()
    rows = target.rows
    assert (rows.num_free, len(rows), len(engine.scheduler.running)) == (rows.num_blocks, 0, 0)
    assert not engine.pipeline.waiting and not engine.pipeline._ahead
    if not lane.abandoned:
        assert not engine.pipeline.desk._copies
        assert not getattr(drafter, "alive", ())
    engine.pipeline.close()


def check(generation: Generation, texts: Texts) -> None:
    expected, got = texts[generation.sequence.prompt], generation.sequence.output
    assert got == (expected[: len(got)] if generation.sequence.finish_reason == "abort" else expected)


KINDS = ("foreseeing", "suffix", "scripted", "failing", "broken", "token", "mixture", "sequence")
# A drafter's failures are logged with tracebacks, thousands of them here.
QUIET = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def toy_case(kind: str, seed: int, hang: float) -> None:
    texts, chooser = {ids: list(tokens) for ids, tokens in toy_texts()}, random.Random(seed)
    run(ToyTarget(), drafter_of(kind, texts, chooser), texts, chooser, hang)


@settings(QUIET, max_examples=50)
@given(st.sampled_from(KINDS), st.integers(0, 1 << 32), st.sampled_from([0.0, 0.0, 0.0, 0.1]))
def test_text_and_rows_whatever_the_interleaving(kind, seed, hang):
    toy_case(kind, seed, hang)


@pytest.mark.slow
@settings(QUIET, max_examples=3000)
@given(st.sampled_from(KINDS), st.integers(0, 1 << 32), st.sampled_from([0.0, 0.0, 0.0, 0.1]))
def test_text_and_rows_in_thousands_of_interleavings(kind, seed, hang):
    toy_case(kind, seed, hang)


@pytest.mark.parametrize("kind", ["model", "same model", "nested", "self", "token", "mixture"])
@pytest.mark.parametrize("seed", range(3))
def test_text_and_rows_with_tiny_models(kind, seed, tiny):
    """In float64: rows of drafters' caches come back, too, and a draft that was drafted ahead reads no other text than one that was not."""
    path, exact, chooser = str(tiny("llama")), {"dtype": "float64", "device": "cpu"}, random.Random(seed)
    common = [chooser.randrange(3, 100) for _ in range(70)]
    prompts = [common[: 70 * (i % 2)] + [chooser.randrange(3, 100) for _ in range(chooser.randrange(1, 30))] for i in range(5)]
    with LLM(path, drafters=[], **exact) as llm:
        done = llm.generate(prompts, [params(i) for i in range(5)], progress=False)
        texts = {tuple(p): c.token_ids for p, c in zip(prompts, done, strict=True)}
    small = lambda: ModelDrafter(str(tiny("llama", seed=1, layers=1)), **exact)  # noqa: E731
    made: dict[str, Callable[[], Drafter]] = {
        "model": small,
        "same model": lambda: ModelDrafter(path, **exact),
        "nested": lambda: untrained_draft(path, "standalone", "float64"),
        "self": lambda: untrained_draft(path, "self", "float64"),
        "token": lambda: CollectiveDrafter([SuffixDrafter(), ModelDrafter(path, **exact), untrained_draft(path, "self", "float64")]),
        "mixture": lambda: CollectiveDrafter([small(), Foreseeing(texts, chooser)], vote="mixture"),
    }
    drafter = made[kind]()
    run(LocalTarget(load(path, **exact)), drafter, texts, chooser)
    for member in getattr(drafter, "members", [])[:]:
        _given_back(member.drafter)
    _given_back(drafter)


def _given_back(drafter: Drafter) -> None:
    if hasattr(drafter, "runner"):
        assert drafter.runner.rows.num_free == drafter.runner.rows.num_blocks
