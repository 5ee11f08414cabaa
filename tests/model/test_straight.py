"""Layers are run without their decoder where it does nothing else, and with it where it does."""

import pytest
import torch

from covey.model.exits import ExitRunner
from covey.model.load import load
from covey.model.nested import NestedDraft
from covey.model.runner import Feed
from covey.model.straight import Straight
from tests.model.test_exits import TAKEN_APART


def decoder_of(family, tiny):
    return load(str(tiny(family, layers=3)), dtype="float64", device="cpu", attention="sdpa").model.get_decoder()


def straight(decoder, passes=1):
    with torch.inference_mode(), Straight(decoder) as watched:
        for _ in range(passes):
            decoder(input_ids=torch.tensor([[5, 6, 7]]), use_cache=False)
    return watched.found


def test_a_llama_is_run_without_its_decoder(tiny):
    decoder = decoder_of("llama", tiny)
    decoder.norm = torch.nn.Identity()  # an exit reads what a layer leaves
    assert straight(decoder)
    assert not straight(decoder, passes=2)


@pytest.mark.parametrize("change", ["what goes in", "what comes out", "between layers", "another rotary embedding"])
def test_a_decoder_that_does_more_is_kept(change, tiny):
    decoder = decoder_of("llama", tiny)
    if change != "what comes out":
        decoder.norm = torch.nn.Identity()
    if change in ("what goes in", "between layers"):
        layer = decoder.layers[0 if change == "what goes in" else 1]
        layer.register_forward_pre_hook(lambda layer, given: (given[0] * 2, *given[1:]))
    if change == "another rotary embedding":

        def turn(layer, given, named):
            return given, named | {"position_embeddings": tuple(part * 2 for part in named["position_embeddings"])}

        decoder.layers[0].register_forward_pre_hook(turn, with_kwargs=True)
    assert not straight(decoder)


@pytest.mark.parametrize("family", TAKEN_APART)
def test_both_ways_give_the_same(family, tiny, tmp_path, monkeypatch):
    base = load(str(tiny(family, layers=3)), dtype="float64", device="cpu", attention="sdpa")
    NestedDraft.of(base, 3, (1, 3)).save(tmp_path, dtype=torch.float64)
    left = []
    for found in (None, False):
        if found is not None:
            monkeypatch.setattr(Straight, "found", found)
        runner = ExitRunner(NestedDraft.load(tmp_path, base, "covey"))
        runner.allocate(4)
        row = runner.rows.open(0)
        runner.rows.reserve(row, 30)
        first = runner.run(0, [Feed(row, 0, list(range(5, 35)), 0)])
        left.append((first, runner.run(1, [Feed(row, 0, list(range(5, 35)), 0)], first)))
        runner.close()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*left, strict=True))
