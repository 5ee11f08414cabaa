"""Replays: what a trace holds, and that a replay counts what a run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey import LLM, CoveyError, SamplingParams
from covey.control import FixedLength
from covey.cost import Costs, Drafting, DraftSample
from covey.drafters import SuffixDrafter
from covey.replay import Recorded, compare, read_trace, replay

PROMPTS = ["the birds fly and the birds fly and", "a covey flies over the hill", "they sing while it flies"]
PARAMS = SamplingParams(max_tokens=90, ignore_eos=True)


def watched(place: Path) -> list[list[int]]:
    """A trace of the toy under `watch`, and the texts that it wrote."""
    # With no min_survival what is drafted at a position depends on the text alone, and not on how earlier drafts fared.
    with LLM("toy", drafters=[SuffixDrafter(min_survival=0.0)], controller="watch", trace=place, max_num_seqs=2) as llm:
        return [done.token_ids for done in llm.generate(PROMPTS, PARAMS)]


def test_a_trace_holds_the_text_and_a_draft_for_every_position(tmp_path: Path) -> None:
    written = watched(tmp_path / "t.jsonl")
    texts = read_trace(tmp_path / "t.jsonl")
    assert [list(text.tokens) for text in texts] == written
    with LLM("toy", drafters=[]) as llm:
        prompts = [llm.tokenizer.encode(prompt) for prompt in PROMPTS]
        assert [text.prompt_tokens for text in texts] == [len(ids) for ids in prompts]
        assert [done.token_ids for done in llm.generate(PROMPTS, PARAMS)] == written
    for ids, text in zip(prompts, texts, strict=True):
        # Where the last token has not stood before there is nothing to say, and at the last position there is no room.
        before = [[*ids, *text.tokens[:at]] for at in range(len(text.tokens) - 1)]
        assert list(text.drafts) == [at for at, read in enumerate(before) if read[-1] in read[:-1]]
        for at, (tokens, survival) in text.drafts.items():
            assert 0 < len(tokens) == len(survival) <= min(8, len(text.tokens) - 1 - at)


@pytest.mark.parametrize("length", [0, 1, 3, 8])
def test_a_replay_counts_the_rounds_of_a_run(tmp_path: Path, length: int) -> None:
    watched(tmp_path / "t.jsonl")
    texts = read_trace(tmp_path / "t.jsonl")
    replayed = replay(texts, lambda _: FixedLength(length), Costs(), batch=2)
    with LLM("toy", drafters=[SuffixDrafter(min_survival=0.0)], controller="fixed", num_speculative_tokens=length, max_num_seqs=2) as llm:
        done = llm.generate(PROMPTS, PARAMS)
    assert replayed.tokens == sum(len(each.token_ids) for each in done)
    assert replayed.rounds == sum(each.stats.num_rounds for each in done)
    assert sum(k * n for k, n in replayed.lengths.items()) == sum(each.stats.num_draft_tokens for each in done)


def test_a_trace_with_drafts_that_were_sent_is_refused(tmp_path: Path) -> None:
    with LLM("toy", drafters=["suffix"], controller="fixed", trace=tmp_path / "t.jsonl") as llm:
        llm.generate(PROMPTS, PARAMS)
    with pytest.raises(CoveyError, match="record with controller=watch"):
        read_trace(tmp_path / "t.jsonl")


def test_a_trace_of_two_runs_is_refused(tmp_path: Path) -> None:
    watched(tmp_path / "t.jsonl")
    twice = (tmp_path / "t.jsonl").read_text() * 2  # as from two processes, which number their sequences alike
    (tmp_path / "t.jsonl").write_text(twice)
    with pytest.raises(CoveyError, match="record to a new file"):
        read_trace(tmp_path / "t.jsonl")


def test_sequences_that_said_nothing_are_left_out(tmp_path: Path) -> None:
    watched(tmp_path / "t.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    ended = {**lines[0], "sequence_id": 99, "tokens": [], "proposed": [], "finish_reason": "abort"}
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [ended, *lines]))
    assert len(read_trace(tmp_path / "t.jsonl")) == len(PROMPTS)


def test_a_drafter_ends_a_draft_where_it_would_have() -> None:
    """By its own min_survival at a fixed length: before the token with which the draft falls under it."""
    text = Recorded(4, tuple(range(1, 41)), {at: (tuple(range(at + 1, at + 5)), (0.8, 0.5, 0.3, 0.1)) for at in range(36)})
    whole = replay([text], lambda _: FixedLength(4), Costs())
    ended = replay([text], lambda _: FixedLength(4), Costs(), min_survival=0.3)
    assert max(whole.lengths) == 4 and max(ended.lengths) == 3


def test_compared_runs_fill_the_batch() -> None:
    text = Recorded(4, tuple(range(1, 41)), {at: ((at + 1,), (0.9,)) for at in range(39)})
    fixed, chosen = compare([text], Costs(), 5, [0, 1], ["goodput", "heuristic"])
    assert list(fixed) == [0, 1] and list(chosen) == ["goodput", "heuristic"]
    assert {count for count, _ in fixed[0].steps} == {5}
    assert fixed[1].tokens == chosen["goodput"].tokens == 200
    assert fixed[1].tokens_per_second > fixed[0].tokens_per_second


def test_what_is_ventured_takes_its_time_and_is_not_held_against_drafting() -> None:
    """A drafter that is asked for nothing but ventures a millisecond is planned for like one that does not, and is slower."""
    text = Recorded(4, tuple(range(1, 41)), {at: (tuple(range(at + 1, at + 3)), (0.8, 0.5)) for at in range(38)})
    asked, bold = (Costs.fit([], [DraftSample(Drafting(2, 2, 1), 0.001, ventured)] * 50) for ventured in (0.0, 0.1))
    (free, dear) = (compare([text] * 4, costs, 1, [2], ["goodput"]) for costs in (asked, bold))
    for plain, venturing in ((free[0][2], dear[0][2]), (free[1]["goodput"], dear[1]["goodput"])):
        assert venturing.lengths == plain.lengths and venturing.rounds == plain.rounds
        drafted = venturing.rounds - venturing.lengths.get(0, 0)
        assert venturing.seconds - plain.seconds == pytest.approx(0.1 * drafted, rel=0.1)
