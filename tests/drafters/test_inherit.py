"""What a draft model takes over of a sequence that its own one goes on from: it says the same, and reads only what is new."""

from __future__ import annotations

import pytest
import torch

from covey import LLM, SamplingParams
from covey.drafters import ModelDrafter, NestedDrafter
from covey.model.load import load
from covey.model.nested import NestedDraft
from covey.types import Round

KIND = {"dtype": "float64", "device": "cpu"}
PROMPT = [(7 * i * i + 3 * i) % 90 + 3 for i in range(150)]
ADDED = [(5 * i * i + i) % 90 + 3 for i in range(12)]


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module")
def make(target, tiny, tmp_path_factory):
    """make(name, depth) is a drafter; of a nested one `depth` is every exit's threshold."""
    folders = {}
    for kind in ("standalone", "self"):
        folders[kind] = tmp_path_factory.mktemp(kind)
        NestedDraft.of(load(target, attention="sdpa", **KIND), 3, (1, 2, 3), tokens=list(range(3, 120)), kind=kind).save(
            folders[kind], dtype=torch.float64
        )
    return lambda name, depth: (
        ModelDrafter(str(tiny("llama", seed=1, layers=1)), **KIND)
        if name == "model"
        else NestedDrafter(folders[name], thresholds=(depth, depth), **KIND)
    )


def watched(drafter) -> list[int]:
    """How many tokens the model reads, pass by pass: by its first layers, those of a draft under way apart."""
    name, fed = ("forward", []) if isinstance(drafter, ModelDrafter) else ("run", [])
    original = getattr(drafter.runner, name)

    def count(*given):
        if name == "forward" or given[0] == 0:
            fed.append(sum(len(feed.tokens) for feed in given[-1 if name == "forward" else 1]))
        return original(*given)

    setattr(drafter.runner, name, count)
    return fed


def turns(target, drafter, reuse: bool) -> tuple[list[dict[int, tuple[int, ...]]], list[int]]:
    """The drafts of a turn that another follows, of that one, and of another one that begins like the first; and what was read."""
    with LLM(target, drafters=[drafter], controller="fixed", num_speculative_tokens=3, prefill_chunk=64, prefix_reuse=reuse, **KIND) as llm:
        fed, rounds, said, read = watched(drafter), [], [], []
        llm.observe(rounds.append)
        text: list[int] = []
        for turn in range(3):
            rounds.clear()
            fed.clear()
            asked = (PROMPT, text + ADDED, PROMPT[:100] + ADDED)[turn]
            text = asked + llm.generate(asked, SamplingParams(max_tokens=16, ignore_eos=True), progress=False)[0].token_ids
            said.append(drafts(rounds))
            read.append(max(fed))
        return said, read


def drafts(rounds: list[Round]) -> dict[int, tuple[int, ...]]:
    return {r.start: r.proposed for r in rounds if r.proposed}


@pytest.mark.parametrize(("name", "depth"), [("model", 0), ("standalone", 0.0), ("standalone", 1.0), ("self", 0.0), ("self", 1.0)])
def test_it_says_what_it_would_have_said_and_reads_only_what_is_new(name, depth, target, make, monkeypatch):
    monkeypatch.setattr("covey.drafters.nested._LOOKS_BACK", 1000)
    cold, everything = turns(target, make(name, depth), reuse=False)
    warm, new = turns(target, make(name, depth), reuse=True)
    assert min(everything) > 100
    # A turn may end with a draft that was rejected; the copy of 100 tokens leaves one of them for a self draft to do without.
    assert max(new[1:]) < 40
    for before, after in zip(cold[:2], warm[:2], strict=True):
        common = before.keys() & after.keys()
        assert len(common) > 4
        assert all(before[start] == after[start] for start in common)
    if name != "self":
        assert warm[2] == cold[2]


def test_a_self_draft_that_looks_back_a_little_goes_on_from_what_was_read_or_begins_near_the_end(target, make, monkeypatch):
    monkeypatch.setattr("covey.drafters.nested._LOOKS_BACK", 24)
    cold, everything = turns(target, make("self", 1.0), reuse=False)
    warm, new = turns(target, make("self", 1.0), reuse=True)
    assert 20 < max(everything) <= 24 + 4 and max(new) <= 24 + 4  # and no more than a draft
    assert warm[0] == cold[0]
    assert all(len(said) > 4 for said in (*cold, *warm))
