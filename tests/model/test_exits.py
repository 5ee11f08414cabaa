"""A nested draft run stage by stage, in pieces and late, says what it says when it is run whole."""

import pytest
import torch

from covey.errors import UnsupportedError
from covey.model.attention import NAME
from covey.model.exits import ExitRunner
from covey.model.load import load
from covey.model.nested import NestedDraft
from covey.model.runner import Feed
from covey.model.straight import Straight
from tests.model.tiny import FAMILIES

TEXT = [(7 * i * i + 3 * i) % 120 + 3 for i in range(90)]
TAKEN_APART = [family for family in FAMILIES if family not in ("gpt2", "opt", "gemma2", "gemma3")]


@pytest.mark.parametrize("family", TAKEN_APART)
def test_stages_run_late_and_in_pieces_are_the_whole_draft(family, tiny, tmp_path):
    base = load(str(tiny(family, layers=4)), dtype="float64", device="cpu", attention="sdpa")
    whole = NestedDraft.of(base, 4, (1, 3, 4), tokens=list(range(5, 100)))
    whole.save(tmp_path, dtype=torch.float64)
    runner = ExitRunner(NestedDraft.load(tmp_path, base, NAME))
    runner.allocate(8)
    row, other = runner.rows.open(0), runner.rows.open(1)
    runner.rows.reserve(row, 90)
    runner.rows.reserve(other, 20)
    first = [runner.run(0, [Feed(row, 0, TEXT[:50], 0), Feed(other, 0, TEXT[:20], 0)])[:50], runner.run(0, [Feed(row, 50, TEXT[50:], 0)])]
    second = runner.run(1, [Feed(row, 0, TEXT, 0)], torch.cat(first))
    third = torch.cat([runner.run(2, [Feed(row, at, TEXT[at : at + 30], 0)], second[at : at + 30]) for at in (0, 30, 60)])
    with torch.inference_mode():
        expected = [whole.head(hidden)[0] for hidden in whole.hidden_states(torch.tensor([TEXT]))]
    for left, wanted in zip((torch.cat(first), second, third), expected, strict=True):
        got = runner.logits(runner.normed(left))
        torch.testing.assert_close(got[:, 5:100], wanted, rtol=1e-8, atol=1e-8)
        assert (got[:, :5] == -torch.inf).all() and (got[:, 100:] == -torch.inf).all()
    runner.close()


@pytest.mark.parametrize("straight", [True, False], ids=["layers alone", "through the decoder"])
@pytest.mark.parametrize("kind", ["standalone", "self"])
def test_of_positions_that_nobody_reads_on_from_only_keys_and_values_are_made(kind, straight, tiny, tmp_path, monkeypatch):
    """Two texts, one of which has little to be read, and more tokens behind them: as if all had been run whole."""
    base = load(str(tiny("llama", layers=4)), dtype="float64", device="cpu", attention="sdpa")
    NestedDraft.of(base, 3, (1, 3), kind=kind).save(tmp_path, dtype=torch.float64)
    draft = NestedDraft.load(tmp_path, base, NAME)
    if not straight:
        monkeypatch.setattr(Straight, "found", False)
    runner, passes = ExitRunner(draft), []
    runner.allocate(8)
    monkeypatch.setattr(
        runner.layers, "begin", lambda current, begin=runner.layers.begin: (passes.append(len(current.slots)), begin(current))
    )
    rows = [runner.rows.open(number) for number in range(4)]
    for row in rows:
        runner.rows.reserve(row, 90)
    given = torch.randn(63, runner.hidden_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def ends(run, own):
        """What the last stage leaves at the ends of 50 and 1 tokens, and of 8 and 4 more."""
        found = []
        for feeds, hidden in (
            ([Feed(own[0], 0, TEXT[:50], 0), Feed(own[1], 0, TEXT[:1], 0)], given[:51]),
            ([Feed(own[0], 50, TEXT[50:58], 0), Feed(own[1], 1, TEXT[1:5], 0)], given[51:]),
        ):
            first = runner.run(0, feeds, hidden if runner.wants_gift else None)
            passes.clear()
            found.append((run(feeds, first), list(passes)))
        return found

    whole = ends(
        lambda feeds, first: torch.stack([left[-1] for left in runner.run(1, feeds, first).split([len(f.tokens) for f in feeds])]), rows[:2]
    )
    late = ends(lambda feeds, first: runner.run_for_last(1, feeds, first), rows[2:])
    assert [made for _, made in late] == [[49, 2] if straight else [51], [12]]
    for (mine, _), (theirs, _) in zip(late, whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    runner.close()


@pytest.mark.parametrize("family", ["gpt2", "opt", "gemma2", "gemma3"])
def test_models_that_cannot_be_taken_apart_are_refused(family, tiny):
    base = load(str(tiny(family)), dtype="float32", device="cpu", attention="eager" if family == "gemma2" else "sdpa")
    with pytest.raises(UnsupportedError, match="to take a draft from; name another"):
        NestedDraft.of(base, 2, (1, 2))
