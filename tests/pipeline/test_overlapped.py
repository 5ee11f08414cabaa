"""The pipeline with its real thread: who calls the drafter, what a fault costs, and what is left at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import torch

from covey import LLM, AsyncLLM, SamplingParams
from covey.drafters import ModelDrafter, SuffixDrafter
from covey.pipeline import Placement, ThreadLane
from covey.toy import ToyTarget
from covey.types import Draft, Drafter, Round, Sequence

PROMPTS = ["the birds fly over the hill and then the birds fly", "a covey flies", "they sing while it flies"]
PARAMS = SamplingParams(max_tokens=40, temperature=0.8, seed=5, ignore_eos=True)


class Repeating(Drafter):
    """Drafts the last token again, and does something else first."""

    name = "repeating"

    def __init__(self, first: Callable[[], None] = lambda: None) -> None:
        self.first, self.threads, self.calls, self.closed = first, set[str](), 0, False

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        self.first()
        return [Draft(len(s.tokens), s.prefix_id, (s.tokens[-1],) * n, (0.5,) * n) for s, n in zip(sequences, lengths, strict=True)]

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        self.threads.add(threading.current_thread().name)

    def close(self) -> None:
        self.closed = True


class Stuck:
    """Lets a few calls through, and holds the next until it is released."""

    def __init__(self, calls: int) -> None:
        self.left, self.release, self.held = calls, threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.held.set()
            self.release.wait()


def fail() -> None:
    raise ZeroDivisionError("deliberate")


def overlapped(drafter: Drafter, target: object = "toy", **options: object) -> LLM:
    return LLM(target, drafters=[drafter], pipeline="overlapped", controller="fixed", num_speculative_tokens=4, **options)


@pytest.fixture(scope="module")
def plain() -> list[list[int]]:
    with LLM("toy", drafters=[]) as llm:
        return [c.token_ids for c in llm.generate(PROMPTS, PARAMS)]


def texts(llm: LLM) -> list[list[int]]:
    done = [c.token_ids for c in llm.generate(PROMPTS, PARAMS)]
    llm.served().engine.pipeline.settle()
    assert llm.target.rows.num_available == llm.target.rows.num_blocks
    return done


def drafter_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("covey-drafter")]


def test_the_drafter_is_called_in_one_thread_which_ends_with_the_engine(plain):
    drafter = Repeating()
    with overlapped(drafter) as llm:
        assert texts(llm) == plain
    assert drafter.threads == {"covey-drafter-0"}
    assert drafter_threads() == []
    assert drafter.closed


def test_a_drafter_that_hangs_is_never_called_again_and_named_at_the_end(plain, caplog):
    stuck = Stuck(3)
    drafter = Repeating(stuck)
    with overlapped(drafter, drafter_timeout=0.2) as llm:
        assert texts(llm) == plain
        faults = llm.served().engine.pipeline.faults
        assert (drafter.calls, faults.quarantined, faults.late) == (4, 1, 0)
        assert texts(llm) == plain
        assert drafter.calls == 4
    assert "still hangs in thread 'covey-drafter-0'" in caplog.text
    assert not drafter.closed, "it may be in the middle of something"
    (thread,) = [thread for thread in threading.enumerate() if thread.name in drafter_threads()]
    stuck.release.set()
    thread.join()
    assert faults.late == 1


def test_a_hang_is_found_while_others_decode_plainly():
    stuck, ended = Stuck(1), []
    with overlapped(Repeating(stuck), drafter_timeout=0.05) as llm:
        to = llm.served()
        for name, tokens, speculation in (("drafted for", 10, {}), ("plain", 2000, {"num_tokens": 0})):
            params = SamplingParams(max_tokens=tokens, ignore_eos=True, speculation=speculation)
            listen = lambda event, name=name: event.finish_reason and ended.append(name)  # noqa: E731
            to.engine.add(to.generations(to.encode("the birds"), params, listen)[0])
        while not ended:
            to.engine.step()
        assert ended == ["drafted for"]
        to.engine.end_all("abort")
    stuck.release.set()


def test_a_drafter_that_raises_is_dropped_and_counted(plain, caplog):
    drafter = Repeating(fail)
    with overlapped(drafter) as llm:
        assert texts(llm) == plain
        faults = llm.served().engine.pipeline.faults
    assert (drafter.calls, faults.failures, faults.dropped, faults.quarantined) == (3, 3, 1, 0)
    assert "drafter 'repeating' failed in propose" in caplog.text
    assert "it is not asked any more" in caplog.text


def test_a_failing_pass_fails_its_requests_and_no_others():
    class Failing(ToyTarget):
        passes = 0

        def verify(self, works, give=None):
            self.passes += 1
            if self.passes == 6:
                raise MemoryError("deliberate")
            return super().verify(works, give)

    with overlapped(SuffixDrafter(min_survival=0.0), Failing()) as llm:
        done = llm.generate(PROMPTS, PARAMS)
        failed = [c.finish_reason for c in done].count("error")
        assert 0 < failed < len(PROMPTS), "in halves one group fails"
        assert [c.finish_reason for c in llm.generate(PROMPTS, PARAMS)] == ["length"] * len(PROMPTS)
        llm.served().engine.pipeline.settle()
        assert llm.target.rows.num_available == llm.target.rows.num_blocks


def test_closing_while_a_draft_is_under_way_ends_everything():
    stuck = Stuck(2)

    async def main() -> str:
        llm = AsyncLLM("toy", drafters=[Repeating(stuck)], pipeline="overlapped", controller="fixed")
        asked = asyncio.create_task(llm.generate("the birds", SamplingParams(max_tokens=4000, ignore_eos=True)))
        await asyncio.to_thread(stuck.held.wait)
        closing = asyncio.create_task(asyncio.to_thread(llm.close))
        stuck.release.set()
        await closing
        assert llm.target.rows.num_available == llm.target.rows.num_blocks
        return (await asked)[0].finish_reason

    assert asyncio.run(main()) == "abort"
    assert drafter_threads() == []


def test_a_draft_ahead_that_came_true_is_the_next_draft(tiny):
    """With the target itself as draft model all do: it is asked for one draft, and goes on by itself."""
    calls = []

    class Counting(ModelDrafter):
        def propose(self, sequences, lengths):
            calls.append(len(sequences))
            return super().propose(sequences, lengths)

    path, exact = str(tiny("llama")), {"dtype": "float64", "device": "cpu"}
    with LLM(path, drafters=[], **exact) as llm:
        expected = llm.generate([[5, 6, 7]], PARAMS)[0].token_ids
    rounds: list[Round] = []
    with overlapped(Counting(path, **exact), path, **exact) as llm:
        llm.observe(rounds.append)
        assert llm.generate([[5, 6, 7]], PARAMS)[0].token_ids == expected
    assert len(calls) == 1
    drafted = [each for each in rounds if each.drafted]
    assert len(drafted) > 5
    assert all(each.accepted == len(each.drafted) for each in drafted)


def test_rounds_tell_the_pools_fill_and_the_seconds_that_overlapped():
    rounds: list[Round] = []
    with overlapped(SuffixDrafter(min_survival=0.0), max_num_seqs=3) as llm:
        llm.observe(rounds.append)
        llm.generate(PROMPTS, PARAMS)
    halves = [each for each in rounds if each.pipeline == "halves" and each.drafted]
    assert halves
    assert {each.pool_limit for each in rounds} == {3}
    assert max(each.pool for each in halves) >= 1
    assert all(0 <= each.step_overlap_seconds <= each.step_draft_seconds for each in rounds)
    assert all(0 <= each.step_beside_seconds <= each.step_verify_seconds for each in rounds)


def test_a_draft_that_is_under_way_during_a_pass_is_told():
    """The first pass with drafts lasts until the drafter has begun with the other half, which waits for the pass."""
    arrived, leave, rounds = threading.Semaphore(0), threading.Semaphore(1), list[Round]()

    class Waiting(ToyTarget):
        met = False

        def verify(self, works, give=None):
            if not self.met and any(len(work.draft) for work in works):
                assert arrived.acquire(timeout=30) and arrived.acquire(timeout=30), "nobody drafts for the other half"
                self.met = True
                leave.release(1000)
            return super().verify(works, give)

    def at_work() -> None:
        arrived.release()
        leave.acquire()

    with overlapped(Repeating(at_work), Waiting()) as llm:
        llm.observe(rounds.append)
        llm.generate(PROMPTS, PARAMS)
    assert next(each for each in rounds if each.drafted).step_beside_seconds > 0


def test_in_the_engines_own_thread_nothing_is_drafted_beside_a_pass():
    rounds: list[Round] = []
    with LLM("toy", drafters=[SuffixDrafter(min_survival=0.0)], pipeline="serial", controller="fixed") as llm:
        llm.observe(rounds.append)
        llm.generate(PROMPTS, PARAMS)
    assert any(each.drafted for each in rounds)
    assert {each.step_beside_seconds for each in rounds} == {each.step_overlap_seconds for each in rounds} == {0.0}


def test_threads_of_the_drafter_are_counted_apart_from_everybody_elses():
    before, seen = torch.get_num_threads(), []
    lane = ThreadLane("covey-drafter-test", Placement("cpu", threads=before + 1))
    lane.submit(lambda: seen.append(torch.get_num_threads()))
    assert lane.wait(lambda: bool(seen), patience=30)
    lane.close()
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert (seen, torch.get_num_threads()) == ([before + 1, before], before)


def test_what_was_read_before_serves_a_drafter_in_its_own_thread(tiny):
    """Prompts that begin alike, one after another: the later ones take over what target and draft model read of the first."""
    common, kind = [7 + i % 50 for i in range(100)], {"dtype": "float64", "device": "cpu"}
    prompts, params = [[*common, 100 + i] for i in range(4)], SamplingParams(max_tokens=20, ignore_eos=True)
    path, texts, cached = str(tiny("llama")), [], []
    for options in ({"drafters": []}, {"drafters": [f"model:{path}"], "pipeline": "overlapped"}):
        with LLM(path, **options, controller="fixed", num_speculative_tokens=4, prefix_reuse=bool(options["drafters"]), **kind) as llm:
            done = [llm.generate(prompt, params)[0] for prompt in prompts]
        texts.append([c.token_ids for c in done])
        cached.append([c.stats.num_cached_tokens for c in done])
    assert texts[0] == texts[1]
    assert cached == [[0] * 4, [0, 100, 100, 100]]
