"""Admission, preemption, aborts and errors: the same text, and every row comes back."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from covey import LLM, AsyncLLM, CoveyError, SamplingParams
from covey.drafters import ModelDrafter, SuffixDrafter
from covey.rows import BLOCK_SIZE, RowPool
from covey.toy import ToyTarget
from tests.exactness.drafters import BranchingDrafter


class SmallTarget(ToyTarget):
    """A toy whose cache holds fewer blocks than all sequences want, so that they push each other out."""

    def __init__(self, num_blocks: int) -> None:
        super().__init__(max_model_len=256)
        self._blocks = num_blocks

    def allocate(self, num_blocks: int) -> None:
        self.rows = RowPool(self._blocks)


class FailingTarget(ToyTarget):
    """A toy that fails in one pass."""

    passes = 0

    def verify(self, works, give=None):
        self.passes += 1
        if self.passes == 5:
            raise MemoryError("deliberate")
        return super().verify(works, give)


def nothing_left(llm) -> bool:
    """But rows that are kept warm, which are given up first."""
    rows = llm.target.rows
    scheduler = llm.served().engine.scheduler
    assert rows.num_available == rows.num_blocks
    scheduler.ended.clear()
    return (rows.num_free, len(rows), len(scheduler.running), len(scheduler.waiting)) == (rows.num_blocks, 0, 0, 0)


def requests(count: int) -> tuple[list[list[int]], list[SamplingParams]]:
    chooser = random.Random(1)
    prompts = [[chooser.randrange(1, 90) for _ in range(chooser.randrange(1, 90))] for _ in range(count)]
    return prompts, [SamplingParams(max_tokens=chooser.randrange(1, 120), temperature=1.0, seed=i) for i in range(count)]


def test_preempted_requests_give_the_same_text_and_rows_come_back():
    prompts, params = requests(12)
    with LLM("toy", drafters=[], max_num_seqs=1) as llm:
        alone = [c.token_ids for c in llm.generate(prompts, params)]
    with LLM(SmallTarget(num_blocks=5), drafters=["suffix"], max_num_seqs=8, prefill_chunk=32) as llm:
        crowded = [c.token_ids for c in llm.generate(prompts, params)]
        assert llm.served().engine.scheduler.num_preempted > 0
        assert nothing_left(llm)
    assert crowded == alone


def test_preemption_recomputes_a_real_model_and_its_draft_model(tiny):
    prompts = [[i + 3, 5, 8] * 10 for i in range(4)]
    params = SamplingParams(max_tokens=60)
    kind = {"dtype": "float64", "device": "cpu"}
    with LLM(str(tiny("llama")), drafters=[], **kind) as llm:
        expected = [c.token_ids for c in llm.generate(prompts, params)]
        per_token = llm.target.bytes_per_token
    draft = ModelDrafter(str(tiny("llama", seed=1, layers=1)), **kind)
    memory = (per_token + draft.bytes_per_token) * BLOCK_SIZE * 7 / 2**30
    with LLM(str(tiny("llama")), drafters=[draft], max_model_len=128, cache_memory=memory, max_num_seqs=4, **kind) as llm:
        got = [c.token_ids for c in llm.generate(prompts, params)]
        assert llm.served().engine.scheduler.num_preempted > 0
        assert nothing_left(llm) and draft.runner.rows.num_free == draft.runner.rows.num_blocks
    assert got == expected


def test_a_thousand_requests_with_aborts_leave_no_row_behind():
    prompts, params = requests(1000)
    chooser = random.Random(2)
    with LLM(SmallTarget(num_blocks=12), drafters=[SuffixDrafter()], max_num_seqs=16) as llm:
        engine, finished = llm.served().engine, []
        listen = lambda event: event.finish_reason and finished.append(event.finish_reason)  # noqa: E731
        queue = [llm.served().generations(ids, p, listen) for ids, p in zip(prompts, params, strict=True)]
        alive = []
        while queue or engine.busy:
            for _ in range(chooser.randrange(4)):
                if queue:
                    alive.append(queue.pop()[0])
                    engine.add(alive[-1])
            engine.step()
            if alive and chooser.random() < 0.3:
                engine.abort(chooser.choice(alive[-40:]).sequence.request_id)
        assert len(finished) == 1000
        assert {"abort", "length", "stop"} == set(finished)
        assert nothing_left(llm)


def test_a_failing_pass_ends_its_requests_with_an_error_and_the_engine_goes_on():
    with LLM(FailingTarget(), drafters=[], max_num_seqs=2) as llm:
        done = llm.generate(["the birds", "a covey", "they sing"], SamplingParams(max_tokens=20, ignore_eos=True))
        assert [c.finish_reason for c in done] == ["error", "error", "length"]
        assert done[0].error == "MemoryError: deliberate"
        assert nothing_left(llm)


def test_leaving_a_stream_aborts_its_request():
    with LLM("toy") as llm:
        stream = llm.stream("the birds", SamplingParams(max_tokens=200, ignore_eos=True))
        next(stream)
        stream.close()
        assert nothing_left(llm)


def test_streamed_text_is_the_generated_text():
    params = SamplingParams(max_tokens=50, temperature=1.0, seed=3, stop=["ing", "z"])
    with LLM("toy") as llm:
        chunks = list(llm.stream("the birds sing", params))
        whole = llm.generate("the birds sing", params)[0]
    assert "".join(c.text for c in chunks) == whole.text
    assert [t for c in chunks for t in c.token_ids] == whole.token_ids
    assert [c.finish_reason for c in chunks if c.finish_reason] == [whole.finish_reason]


def test_threads_may_share_one_llm():
    params = SamplingParams(max_tokens=30, temperature=1.0, seed=3)
    prompts = ["the birds", "a covey flies", "they sing"]
    with LLM("toy", max_num_seqs=2) as llm:
        alone = [llm.generate(p, params)[0].text for p in prompts]
        got = {}
        threads = [threading.Thread(target=lambda p=p: got.update({p: llm.generate(p, params)[0].text})) for p in prompts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [got[p] for p in prompts] == alone


def test_async_requests_stream_and_abort():
    async def main():
        async with AsyncLLM("toy", max_num_seqs=3) as llm:
            params = SamplingParams(max_tokens=40, temperature=1.0, seed=3)
            together = await asyncio.gather(*(llm.generate(p, params) for p in ("the birds", "a covey")))
            streamed = [c async for c in llm.stream("the birds", params)]
            endless = SamplingParams(max_tokens=4000, ignore_eos=True)
            aborted = await llm.generate("they sing", endless, on_start=llm.abort)
            broken_off = llm.stream("they sing", endless)
            await anext(broken_off)
            await broken_off.aclose()
        assert nothing_left(llm)
        return together, streamed, aborted

    together, streamed, aborted = asyncio.run(main())
    assert "".join(c.text for c in streamed) == together[0][0].text
    assert aborted[0].finish_reason == "abort"


def test_a_failure_outside_the_targets_pass_does_not_end_the_engine_thread():
    def fail_once(happened):
        stop()
        raise ZeroDivisionError("deliberate")

    async def main():
        nonlocal stop
        async with AsyncLLM("toy") as llm:
            stop = llm.observe(fail_once)
            failed = await llm.generate("the birds", SamplingParams(max_tokens=20))
            assert nothing_left(llm)
            return failed[0], (await llm.generate("the birds", SamplingParams(max_tokens=20)))[0]

    stop = None
    failed, after = asyncio.run(main())
    assert (failed.finish_reason, failed.error) == ("error", "ZeroDivisionError: deliberate")
    assert after.finish_reason in ("length", "stop")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "no tokens"),
        ("x" * 300, "max_model_len=256"),
        ([5, 10_000], "token id 10000"),
        ([5, -1], "token id -1"),
        (3.5, "prompt is a float"),
    ],
)
def test_prompts_that_do_not_fit_are_refused_by_name(prompt, message):
    with LLM(SmallTarget(num_blocks=12)) as llm, pytest.raises(CoveyError, match=message):
        llm.generate([prompt])


def test_max_tokens_is_cut_to_the_models_length():
    with LLM(SmallTarget(num_blocks=12)) as llm:
        done = llm.generate("x" * 250, SamplingParams(max_tokens=100, ignore_eos=True))[0]
    assert (len(done.token_ids), done.finish_reason) == (6, "length")


def test_a_trace_rebuilds_the_statistics(tmp_path):
    import json

    from covey.engine.statistics import Statistics
    from covey.types import Round

    with LLM("toy", trace=tmp_path / "trace.jsonl", num_speculative_tokens=3) as llm:
        (done,) = llm.generate("the birds fly and the birds fly and the", SamplingParams(max_tokens=60))
    rebuilt = Statistics()
    rounds = [Round.from_dict(json.loads(line)) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    for happened in rounds:
        rebuilt.add(happened)
    assert [t for r in rounds for t in r.tokens] == done.token_ids
    counted = {k: v for k, v in done.stats.to_dict().items() if "seconds" not in k and "per_second" not in k}
    assert counted == {k: v for k, v in rebuilt.to_dict().items() if k in counted}
    assert sum(i * n for i, n in enumerate(done.stats.accepted_histogram)) == done.stats.num_accepted_tokens


@pytest.mark.parametrize("controller", ["fixed", "goodput"])
def test_statistics_count_branches_among_what_was_sent(controller):
    prompt, params = "the birds fly", SamplingParams(max_tokens=60, ignore_eos=True)
    with LLM("toy", drafters=[]) as llm:
        ids = llm.encode(prompt)
        (plain,) = llm.generate(prompt, params)
    drafter = BranchingDrafter({tuple(ids): plain.token_ids}, wrong_every=2)
    rounds = []
    with LLM("toy", drafters=[drafter], controller=controller, num_speculative_tokens=4) as llm:
        llm.observe(rounds.append)
        (done,) = llm.generate(prompt, params)
    assert done.token_ids == plain.token_ids
    assert done.stats.num_draft_tokens == sum(len(each.drafted) + len(each.branches) for each in rounds)
    assert done.stats.num_accepted_tokens == sum(each.accepted + each.branched for each in rounds)
    assert all(each.sent <= each.planned for each in rounds)
    if controller == "fixed":
        assert sum(each.branched for each in rounds) > 2
        assert all(len(each.tokens) == each.won + 1 for each in rounds if each.tokens and not each.finish_reason)


def test_a_grammar_that_cannot_be_compiled_is_refused_before_anything_runs():
    pytest.importorskip("llguidance")

    async def main():
        async with AsyncLLM("toy") as llm:
            with pytest.raises(ValueError, match="^grammar: the regex cannot be used"):
                await llm.generate("the birds", SamplingParams(grammar={"regex": "(a"}))
            assert nothing_left(llm)
            return await llm.generate("the birds", SamplingParams(grammar={"regex": "(a)"}))

    assert asyncio.run(main())[0].text == "a"


def test_a_grammar_holds_across_a_preemption():
    """Three sequences want more cache than there is; what a pushed-out one may go on with is what it was."""
    pytest.importorskip("llguidance")
    params = SamplingParams(max_tokens=150, temperature=1.0, seed=4, grammar={"regex": "((a|the) (grey )?birds? [a-z]{3,8}[,.] ){40}end"})
    results, preempted = [], []
    for target in (SmallTarget(4), SmallTarget(64)):
        with LLM(target, drafters=["suffix", "grammar"], controller="fixed", max_num_seqs=3) as llm:
            results.append([c.token_ids for c in llm.generate(["the birds", "a covey", "b"], params, progress=False)])
            preempted.append(llm.served().engine.scheduler.num_preempted > 0)
    assert preempted == [True, False] and results[0] == results[1]


def test_an_asynchronous_stream_gives_all_completions_with_their_logprobs():
    params = SamplingParams(n=3, temperature=1.0, seed=5, max_tokens=12, logprobs=1)

    async def pieces():
        async with AsyncLLM("toy") as llm:
            return [chunk async for chunk in llm.stream("the birds", params)]

    got = asyncio.run(pieces())
    with LLM("toy") as llm:
        expected = llm.generate("the birds", params)
        (alone,) = llm.generate("the birds", SamplingParams(temperature=1.0, seed=5, max_tokens=12, logprobs=1))
        streamed = list(llm.stream("the birds", SamplingParams(temperature=1.0, seed=5, max_tokens=12, logprobs=1)))
    for done in expected:
        mine = [chunk for chunk in got if chunk.index == done.index]
        assert "".join(chunk.text for chunk in mine) == done.text
        assert [each for chunk in mine for each in chunk.logprobs] == done.logprobs
    assert [each for chunk in streamed for each in chunk.logprobs] == alone.logprobs
