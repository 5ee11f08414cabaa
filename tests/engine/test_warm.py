"""Rows kept warm: the same text with and without them, nothing read twice that need not be, and nothing shared between scopes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import LLM, AsyncLLM, CoveyError, SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, SuffixDrafter
from covey.engine.warm import common
from covey.rows import BLOCK_SIZE
from covey.types import Draft, Drafter
from tests.engine.test_engine import FailingTarget, SmallTarget, nothing_left
from tests.exactness.drafters import untrained_draft

CHOOSER = random.Random(4)
SYSTEM = [CHOOSER.randrange(3, 90) for _ in range(100)]


def words(count: int, seed: int = 0) -> list[int]:
    chooser = random.Random(seed)
    return [chooser.randrange(3, 90) for _ in range(count)]


def conversations(llm, params: SamplingParams) -> tuple[list[list[int]], int]:
    """Two conversations with one system prompt, side by side, of three turns, the last one in three versions; one of them asked for
    anew, and a question apart. Texts, and how many prompt tokens had been read before."""
    told = [SYSTEM + words(40, 1), SYSTEM + words(9, 2)]
    texts: list[list[int]] = []
    cached = 0
    for turn in range(3):
        asked = [*told, words(70, 9), told[0]] if turn == 1 else told
        several = SamplingParams(**{**vars(params), "n": 3}) if turn == 2 else params
        done = llm.generate(asked, several, progress=False)
        texts += [completion.token_ids for completion in done]
        cached += sum(completion.stats.num_cached_tokens for completion in done)
        answers = [next(c for c in done if c.prompt_index == at).token_ids for at in range(2)]
        told = [old + answer + words(11, turn) for old, answer in zip(told, answers, strict=True)]
    return texts, cached


DRAFTERS = ("plain", "suffix", "model", "nested", "self", "collective")
SAMPLED = {"temperature": 0.9, "seed": 7, "repetition_penalty": 1.2}
CASES = [
    *(("llama", "float64", drafter, options) for drafter in DRAFTERS for options in ({}, SAMPLED)),
    ("llama", "float32", "collective", {}),
    *((family, "float64", "model", SAMPLED) for family in ("gemma2", "gemma3", "mistral", "gpt2")),
]


def drafters(name: str, family: str, dtype: str, tiny) -> list[Drafter]:
    kind = {"dtype": dtype, "device": "cpu"}
    return {
        "plain": list,
        "suffix": lambda: [SuffixDrafter()],
        "model": lambda: [ModelDrafter(str(tiny(family, seed=1, layers=1)), **kind)],
        "nested": lambda: [untrained_draft(str(tiny(family)), "standalone", dtype)],
        "self": lambda: [untrained_draft(str(tiny(family)), "self", dtype)],
        "collective": lambda: [CollectiveDrafter([SuffixDrafter(), untrained_draft(str(tiny(family)), "self", dtype)], thrifty=False)],
    }[name]()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([*case[:3], "sampled" if case[3] else "greedy"]))
def test_the_text_is_that_of_cold_rows(case, tiny):
    family, dtype, drafter, options = case
    params = SamplingParams(max_tokens=12, ignore_eos=True, **options)
    texts, cached = [], []
    for reuse in (False, True):
        with LLM(
            str(tiny(family)), drafters=drafters(drafter, family, dtype, tiny), dtype=dtype, device="cpu", controller="fixed",
            num_speculative_tokens=4, max_num_seqs=3, prefill_chunk=48, prefix_reuse=reuse,
        ) as llm:  # fmt: skip
            found = conversations(llm, params)
            assert nothing_left(llm)
        texts.append(found[0])
        cached.append(found[1])
    assert texts[0] == texts[1]
    # The system prompt for the second conversation, all of both for their second turns and their third, which is asked for three times.
    assert cached[0] == 0 < 100 + 2 * 110 + 3 * 2 * 130 < cached[1]


def read(llm, asked, params=None, **options) -> tuple[int, int]:
    """How many prompt tokens were read, and how many had been before."""
    rounds = []
    end = llm.observe(rounds.append)
    llm.generate(asked, params or SamplingParams(max_tokens=8, ignore_eos=True), progress=False, **options)
    end()
    return sum(r.prefilled + bool(r.tokens and r.prefilled) for r in rounds), sum(r.cached for r in rounds)


def test_completions_of_one_prompt_and_prompts_that_come_together_read_what_they_share_once():
    with LLM("toy", drafters=[], prefill_chunk=64) as llm:
        params = SamplingParams(max_tokens=8, ignore_eos=True, n=4, temperature=1.0, seed=1)
        assert read(llm, words(300), params) == (300, 3 * 299)
        assert read(llm, [SYSTEM + words(20, i) for i in range(5)]) == (100 + 5 * 20, 4 * 100)


def test_what_waits_for_another_lets_others_pass_and_goes_on_when_that_one_is_gone():
    with LLM("toy", drafters=[], prefill_chunk=32) as llm:
        engine, params = llm.served().engine, SamplingParams(max_tokens=4, ignore_eos=True)
        first, second, other = (llm.served().generations(ids, params, lambda event: None)[0] for ids in (SYSTEM, SYSTEM, words(40, 5)))
        for generation in (first, second, other):
            engine.add(generation)
        engine.step()
        assert engine.scheduler.running == [first, other]
        engine.abort(first.sequence.request_id)
        while engine.busy:
            engine.step()
        assert second.sequence.finish_reason == other.sequence.finish_reason == "length"


def test_scopes_share_nothing():
    with LLM("toy", drafters=[]) as llm:
        prompt = words(200)
        assert read(llm, prompt, scope="anna")[1] == 0
        assert read(llm, prompt, scope="bob")[1] == 0
        assert read(llm, prompt)[1] == 0
        assert read(llm, prompt, scope="bob")[1] == 199
        together = [
            llm.served().generations(prompt, SamplingParams(max_tokens=4), lambda event: None, scope=s)[0] for s in ("carl", "dora")
        ]
        for generation in together:
            llm.served().engine.add(generation)
        llm.served().engine.step()
        assert len(llm.served().engine.scheduler.running) == 2
    with LLM("toy") as llm, pytest.raises(CoveyError, match="scope=7: scope must be a string"):
        llm.generate("the birds", scope=7)


def test_scopes_of_asynchronous_requests():
    async def main() -> list[int]:
        async with AsyncLLM("toy", drafters=[]) as llm:
            found, params = [], SamplingParams(max_tokens=4, ignore_eos=True)
            for scope in ("anna", "anna", "bob"):
                (done,) = await llm.generate(words(200), params, scope=scope)
                found.append(done.stats.num_cached_tokens)
            found.append(sum([c.round.cached async for c in llm.stream(words(200), params, scope="bob")]))
            return found

    assert asyncio.run(main()) == [0, 199, 0, 199]


def test_a_controller_goes_on_from_what_drafters_were_shown_of_the_other_text():
    with LLM("toy", drafters=[]) as llm:
        engine, prompt = llm.served().engine, words(200)
        for shown, expected in ((150, 0), (199, 150)):
            (generation,) = llm.served().generations(prompt, SamplingParams(max_tokens=4), lambda event: None)
            engine.add(generation)
            engine.step()
            assert generation.sequence.shown == expected
            generation.sequence.shown = shown
            engine.abort(generation.sequence.request_id)


def test_memory_is_given_back_before_anything_is_preempted_the_oldest_first():
    with LLM(SmallTarget(num_blocks=12), drafters=[], max_num_seqs=2) as llm:
        for seed in range(8):
            read(llm, words(120, seed))
        assert llm.served().engine.scheduler.num_preempted == 0
        assert read(llm, words(120, 7))[1] == 119
        assert read(llm, words(120, 0))[1] == 0
        assert nothing_left(llm)


def test_a_preempted_request_goes_on_from_what_is_left_of_its_row():
    prompts, params = [words(90, i) for i in range(3)], SamplingParams(max_tokens=150, ignore_eos=True)
    figures = []
    for reuse in (False, True):
        with LLM(SmallTarget(num_blocks=6), drafters=[], max_num_seqs=3, prefix_reuse=reuse) as llm:
            figures.append(read(llm, prompts, params))
            assert llm.served().engine.scheduler.num_preempted > 0
    (cold, _), (warm, cached) = figures
    assert 270 <= warm < cold
    assert cached == 0  # its own tokens are no one else's


def test_what_a_failed_pass_leaves_is_not_kept_and_what_an_aborted_request_read_is():
    prompt = words(200)
    with LLM(FailingTarget(), drafters=[], prefill_chunk=64) as llm:
        (failed,) = llm.generate(prompt, SamplingParams(max_tokens=20, ignore_eos=True))
        assert failed.finish_reason == "error"
        assert llm.target.rows.num_free == llm.target.rows.num_blocks
        stream = llm.stream(prompt, SamplingParams(max_tokens=20, ignore_eos=True))
        next(stream)
        stream.close()
        assert read(llm, prompt)[1] == 64


class Bookkeeper(Drafter):
    """Drafts nothing; counts what it is told, and whether that makes sense."""

    name = "bookkeeper"

    def __init__(self) -> None:
        self.started: Counter[int] = Counter()
        self.stopped: Counter[int] = Counter()

    def start(self, sequence) -> None:
        self.started[sequence.id] += 1
        assert self.alive(sequence)

    def stop(self, sequence) -> None:
        assert self.alive(sequence)
        self.stopped[sequence.id] += 1

    def rest(self, sequence) -> None:
        assert self.alive(sequence)

    def inherit(self, sequence, of, length) -> None:
        assert self.alive(sequence) and self.alive(of) and sequence.scope == of.scope
        assert sequence.tokens[:length] == of.tokens[:length] and BLOCK_SIZE <= length < len(sequence.tokens)

    def propose(self, sequences, lengths):
        return [Draft.empty(sequence) for sequence in sequences]

    def alive(self, sequence) -> bool:
        return self.started[sequence.id] == self.stopped[sequence.id] + 1


EVENTS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5), st.integers(0, 1)),
    st.tuples(st.just("step"), st.integers(1, 12), st.just(0)),
    st.tuples(st.just("abort"), st.integers(0, 5), st.just(0)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(EVENTS, max_size=25), st.integers(4, 12))
def test_whatever_comes_every_start_has_one_stop_and_every_block_comes_back(events, blocks):
    prompts = [SYSTEM[:80] + words(seed * 9, seed) for seed in range(4)] + [words(30, 5), SYSTEM + words(90, 7)]
    books = Bookkeeper()
    with LLM(SmallTarget(blocks), drafters=[books], max_num_seqs=3, prefill_chunk=48, controller="fixed") as llm:
        served, alive, ended = llm.served(), [], []
        for what, number, scope in events:
            if what == "add":
                params = SamplingParams(max_tokens=10 + 9 * number, n=1 + number % 2, seed=number, temperature=1.0, ignore_eos=True)
                alive += served.generations(prompts[number], params, ended.append, scope="ab"[scope])
                for generation in alive[-params.n :]:
                    served.engine.add(generation)
            elif what == "abort" and number < len(alive):
                served.engine.abort(alive[number].sequence.request_id)
            else:
                for _ in range(number):
                    served.engine.step()
        while served.engine.busy:
            served.engine.step()
        assert sum(event.finish_reason is not None for event in ended) == len(alive)
        assert served.engine.pipeline.faults.failures == 0
        assert nothing_left(llm)
    assert books.started == books.stopped


@given(st.lists(st.integers(0, 1), max_size=200), st.integers(0, 200), st.integers(0, 250))
def test_what_two_texts_have_in_common(text, differs, most):
    other = [*text[:differs], 2, *text[differs + 1 :]] if differs < len(text) else list(text)
    most = min(most, len(text))
    assert common(text, other, most) == min(most, differs, len(text))
