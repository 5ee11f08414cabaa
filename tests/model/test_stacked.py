"""Drafts that differ by deltas, run as one model: each row gets what its own draft says alone."""

import pytest
import torch

from covey.model import linear
from covey.model.attention import NAME
from covey.model.exits import ExitRunner, stacked_runner
from covey.model.load import load
from covey.model.nested import NestedDraft, read_config
from covey.model.runner import Feed
from tests.exactness.drafters import save_specialist, save_untrained

TEXTS = [[(7 * i * i + 3 * i + seed) % 97 + 3 for i in range(length)] for seed, length in enumerate((40, 1, 70, 6))]


@pytest.fixture(params=["standalone", "self"])
def family(request, tiny, tmp_path):
    """A target, and the folders of a draft of three layers and three specialists: of other ranks, and of the first layer alone."""
    target = str(tiny("llama", layers=4))
    basis = save_untrained(tmp_path / "basis", target, (1, 3), kind=request.param)
    every = {"code": {"rank": 3}, "finance": {"rank": 5}, "first": {"parts": "layers.0."}}
    return target, [basis, *(save_specialist(tmp_path / n, basis, target, seed=i, **o) for i, (n, o) in enumerate(every.items()))]


def gift(runner, count):
    hidden = torch.randn(count, runner.hidden_size, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    return hidden.to(runner.dtype) if runner.wants_gift else None


def said(runner, feeds, seats=None):
    """What both exits say of these feeds."""
    count = sum(len(feed.tokens) for feed in feeds)
    each = None if seats is None else [seat for feed, seat in zip(feeds, seats, strict=True) for _ in feed.tokens]
    first = runner.run(0, feeds, gift(runner, count) if runner.wants_gift else None, seats)
    second = runner.run(1, feeds, first, seats)
    return [runner.logits(runner.normed(hidden), each) for hidden in (first, second)]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        ("float64", 1e-4),  # deltas are merged in float32
        ("float32", None if linear.can_round(torch.float32, torch.device("cpu")) else 2e-3),
        pytest.param(
            "bfloat16",
            None,
            marks=pytest.mark.skipif(not linear.can_pack(torch.bfloat16, torch.device("cpu")), reason="nothing is packed here"),
        ),
    ],
)
def test_a_row_gets_what_its_own_draft_says(dtype, tolerance, family):
    """Alone each draft has its deltas merged. Where both round their weights, it is about as far from what is exact."""
    target, folders = family
    kind = {"device": "cpu", "dtype": dtype}
    base = load(target, **kind)
    runner, _ = stacked_runner(ExitRunner(NestedDraft.load(folders[0], base, NAME)), [(f, read_config(f)[0].basis) for f in folders])
    runner.allocate(4)
    order = [2, 0, 3, 1]  # in a pass the seats need not be in order
    feeds = []
    for seat in order:
        row = runner.rows.open(seat)
        runner.rows.reserve(row, 100)
        feeds.append(Feed(row, 0, TEXTS[seat], 0))
    lengths = [len(feed.tokens) for feed in feeds]
    together = [logits.split(lengths) for logits in said(runner, feeds, order)]
    given = gift(runner, sum(lengths))
    parts = [None] * 4 if given is None else given.split(lengths)
    for number, (seat, part) in enumerate(zip(order, parts, strict=True)):
        alone, exact = (_alone(folders[seat], load(target, device="cpu", dtype=d), TEXTS[seat], part) for d in (dtype, "float64"))
        for exit_, (one, true) in enumerate(zip(alone, exact, strict=True)):
            got, known = together[exit_][number], true > -torch.inf
            assert torch.equal(got > -torch.inf, known)
            if tolerance is not None:
                torch.testing.assert_close(got[known], one[known], rtol=tolerance, atol=tolerance)
            else:
                off = [(each[known].double() - true[known]).square().mean().sqrt() for each in (got, one)]
                assert off[0] < 3 * off[1]  # with another seat's deltas it would be off by much more
    runner.close()


def _alone(folder, base, text, given):
    runner = ExitRunner(NestedDraft.load(folder, base, NAME))
    runner.allocate(2)
    row = runner.rows.open(0)
    runner.rows.reserve(row, 100)
    first = runner.run(0, [Feed(row, 0, text, 0)], None if given is None else given.to(runner.dtype))
    found = [runner.logits(runner.normed(left)) for left in (first, runner.run(1, [Feed(row, 0, text, 0)], first))]
    runner.close()
    return found


def test_common_weights_are_held_once(family):
    target, folders = family
    base = load(target, device="cpu", dtype="float64")
    lone = ExitRunner(NestedDraft.load(folders[0], base, NAME))
    whole = sum(weight.nbytes for weight in lone.draft.parameters())
    runner, sizes = stacked_runner(lone, [(f, read_config(f)[0].basis) for f in folders])
    assert runner.draft.decoder.embed_tokens is lone.draft.decoder.embed_tokens
    assert sum(sizes) == sum(weight.nbytes for weight in runner.draft.parameters())
    assert sizes[0] == whole
    assert sizes[2] * 3 == sizes[1] * 5 and sizes[3] < sizes[1]  # deltas alone, by their ranks


@pytest.mark.skipif(not linear.can_pack(torch.bfloat16, torch.device("cpu")), reason="nothing is packed here")
def test_the_ways_down_share_the_product_of_the_layers_that_they_are_for(family):
    """Otherwise the same input would be read as often as there are layers."""
    target, folders = family
    base = load(target, device="cpu", dtype="bfloat16")
    runner, _ = stacked_runner(ExitRunner(NestedDraft.load(folders[0], base, NAME)), [(f, read_config(f)[0].basis) for f in folders])
    attention = runner.draft.decoder.layers[0].self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    assert len({id(layer.product) for each in projections for layer in (each.trunk, each.down)}) == 1
    assert len({id(each.up.product) for each in projections}) == 3
    assert runner.draft.head.trunk.product is runner.draft.head.down.product
    runner.close()
