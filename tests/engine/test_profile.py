"""The first measurement of costs: taken of what has a name, kept, read again, and never in the way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from covey import LLM, SamplingParams
from covey.cost import Costs, PassSample
from covey.drafters import SuffixDrafter
from covey.engine import profile
from covey.toy import ToyTarget
from covey.types import Draft

GUESS = Costs.fit([], [], looks_back=0).to_dict()  # of the suffix drafter, which reads at no cost


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path))
    return tmp_path / "profiles"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Costs]:
    """What was measured, and not read; all of it is worth keeping."""
    made: list[Costs] = []
    measure = profile.measure

    def counted(*given: Any) -> tuple[Costs, bool]:
        costs, whole = measure(*given)
        made.append(costs)
        return costs, whole

    monkeypatch.setattr(profile, "measure", counted)
    monkeypatch.setattr(profile, "_KEPT_FROM", 0.0)
    monkeypatch.setattr(profile, "_UNEVEN", float("inf"))
    return made


class Counting(ToyTarget):
    passes = 0

    def verify(self, works, give=None):
        self.passes += 1
        return super().verify(works, give)


class Timed(ToyTarget):
    """By a clock of its own a pass takes 20 ms and 2 a token, and eight passes in a row, from a given one on, three times that."""

    def __init__(self, begins: int) -> None:
        super().__init__()
        self.begins, self.passes, self.now = begins, 0, 0.0

    def verify(self, works, give=None):
        self.passes += 1
        slow = 3.0 if self.begins <= self.passes < self.begins + 8 else 1.0
        self.now += slow * (0.02 + 0.002 * sum(work.num_tokens for work in works))
        return super().verify(works, give)


class Theirs:
    """A target that covey does not know, as a user might write one."""

    def __init__(self) -> None:
        self.toy = Counting()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)


class Failing(ToyTarget):
    """Fails when it is measured, and works afterwards."""

    broken = True

    def verify(self, works, give=None):
        if self.broken:
            raise RuntimeError("deliberate")
        return super().verify(works, give)


def opened(target: Any = "toy", drafters: Any = ("suffix",), **options: Any) -> LLM:
    return LLM(target, drafters=list(drafters), **{"max_num_seqs": 2, "max_model_len": 512, **options})


def costs(llm: LLM) -> dict[str, Any]:
    return llm.served().engine.controller.costs.to_dict()


def test_costs_of_what_has_a_name_are_measured_before_the_first_request() -> None:
    with opened() as llm:
        held = costs(llm)
        assert held["seconds"] != GUESS["seconds"] and held["drafts"]
        assert all(each["seconds"] > 0 for each in held["drafts"])
        assert {each["sequences"] for each in held["drafts"]} == {1, 2}
        rows = llm.target.rows
        assert (rows.num_free, len(rows)) == (rows.num_blocks, 0)
        assert not llm.served().engine.busy


@pytest.mark.parametrize("begins", [1, 12, 14])
def test_a_machine_that_slows_down_for_a_while_does_not_make_tokens_look_free(begins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Timed(begins)
    clock = SimpleNamespace(monotonic=lambda: target.now, perf_counter=lambda: target.now)
    with opened(target, drafters=(SuffixDrafter(),), max_num_seqs=1) as llm:
        monkeypatch.setattr(profile, "time", clock)
        found, worth_keeping = profile.measure(llm.served(), 8, 1)
    assert worth_keeping
    sizes = [1, 3, 5, 7, 9]
    assert found.target.seconds(sizes) == pytest.approx([0.02 + 0.002 * size for size in sizes], rel=0.05)


class Late(SuffixDrafter):
    """Has nothing to say before the target has read the prompt, as a drafter that waits for its hidden states, and reads all of it then."""

    looks_back = None

    def propose(self, sequences, lengths):
        drafts = super().propose(sequences, lengths)
        return [draft if sequence.num_output else Draft.empty(sequence) for sequence, draft in zip(sequences, drafts, strict=True)]


def test_a_prompt_is_read_with_the_first_draft_that_says_something() -> None:
    with opened(drafters=(Late(),)) as llm:
        found, _ = profile.measure(llm.served(), 8, 1)
    works = [sample.work for sample in found.drafter.samples]
    assert all(not work.unread for work in works if not work.tokens)
    assert max(work.unread for work in works if work.tokens) > 20


@pytest.mark.parametrize(("seconds", "kept"), [((0.1, 0.1, 0.11), True), ((0.1, 0.2, 0.3), False), ((0.1,), False), ((1.0,), True)])
def test_what_an_uneven_machine_shows_is_not_kept_and_what_a_slow_target_shows_is(seconds: tuple[float, ...], kept: bool) -> None:
    """Three of six sizes were measured once where the time was up, or all of them several times."""
    sizes = (1, 3, 5) if len(seconds) == 1 else (1, 3, 5, 7, 9, 16)
    taken = [[PassSample(size, 0, each) for each in seconds] for size in sizes]
    assert profile._worth_keeping(taken, [same[0] for same in taken], 6) is kept


def test_measuring_does_not_change_the_text() -> None:
    params = SamplingParams(max_tokens=60, temperature=1.0, seed=3)
    with opened() as llm, LLM("toy", drafters=[]) as plain:
        assert llm.generate("the birds", params)[0].token_ids == plain.generate("the birds", params)[0].token_ids


def test_what_was_quick_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_KEPT_FROM", 1e9)
    opened().close()
    assert not cache.exists()


def test_what_took_long_is_kept_and_read_again(cache: Path, measured: list[Costs]) -> None:
    for _ in range(2):
        with opened() as llm:
            held = costs(llm)
    assert len(measured) == 1
    assert len(list(cache.glob("*.json"))) == 2  # of passes, and of drafts
    assert held["seconds"] == pytest.approx(measured[0].to_dict()["seconds"])
    assert held["drafts"] == measured[0].to_dict()["drafts"]
    opened(num_speculative_tokens=2).close()  # other drafts cost something else
    assert len(measured) == 2
    assert len(list(cache.iterdir())) == 4  # and nothing partial stays


def test_passes_are_measured_once_whoever_drafts(cache: Path, measured: list[Costs]) -> None:
    held = []
    for drafters in (("suffix",), ("suffix", "grammar")):
        with opened(drafters=drafters) as llm:
            held.append(costs(llm))
    assert len(measured) == 2
    assert held[0]["seconds"] == pytest.approx(held[1]["seconds"])
    assert held[0]["drafts"] != held[1]["drafts"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"costs": {}}', '{"costs": {"tokens": [1], "seconds": [-1], "seconds_per_reach": 0}}'])
def test_a_broken_file_is_measured_anew(cache: Path, measured: list[Costs], content: str) -> None:
    opened().close()
    for kept in cache.iterdir():
        kept.write_text(content)
    opened().close()
    assert len(measured) == 2
    opened().close()
    assert len(measured) == 2


def test_a_cache_that_cannot_be_written_to_is_no_harm(cache: Path, measured: list[Costs], caplog: pytest.LogCaptureFixture) -> None:
    cache.write_text("a file where the folder should be")
    with opened() as llm:
        assert costs(llm)["drafts"]
    assert "could not be kept" in caplog.text


def test_a_target_that_fails_is_survived(cache: Path, measured: list[Costs], caplog: pytest.LogCaptureFixture) -> None:
    target = Failing()
    with opened(target) as llm:
        assert costs(llm) == GUESS
        assert "could not be measured" in caplog.text
        assert (target.rows.num_free, len(target.rows)) == (target.rows.num_blocks, 0)
        target.broken = False
        assert len(llm.generate("the birds", SamplingParams(max_tokens=10, ignore_eos=True))[0].token_ids) == 10
    assert not cache.exists()


@pytest.mark.parametrize("controller", ["fixed", "smurfs"])
def test_nothing_is_measured_for_a_controller_that_does_not_ask(measured: list[Costs], controller: str) -> None:
    opened(controller=controller).close()
    assert not measured


def test_what_a_user_hands_over_is_not_run(measured: list[Costs]) -> None:
    theirs = Theirs()
    with opened(theirs) as llm:
        assert theirs.toy.passes == 0 and costs(llm) == GUESS
    target = Counting()
    with opened(target, [SuffixDrafter()]) as llm:
        assert target.passes == 0 and costs(llm) == GUESS
    assert not measured
