"""Several targets in one process: each answers as if it were alone, with one set of drafters for all."""

from __future__ import annotations

import asyncio

import pytest
import torch

from covey import LLM, AsyncLLM, SamplingParams
from covey.drafters import ModelDrafter, NestedDrafter, SuffixDrafter
from covey.errors import CoveyError, UnsupportedError
from covey.model.load import load
from covey.model.nested import Calibration, NestedDraft, add_calibration
from covey.types import Draft, Drafter

KIND = {"dtype": "float64", "device": "cpu"}
PROMPTS = [[5, 6, 7, 8, 5, 6, 7], [100, 3], [9] * 70, [44, 45, 46]]
PARAMS = [SamplingParams(max_tokens=30, ignore_eos=True), SamplingParams(max_tokens=30, ignore_eos=True, temperature=0.8, seed=3)] * 2


@pytest.fixture(scope="module")
def targets(tiny) -> dict[str, str]:
    """Two models of one vocabulary; the large one's first layers are the draft."""
    return {"large": str(tiny("llama", layers=4)), "small": str(tiny("llama", seed=1))}


@pytest.fixture(scope="module")
def folder(targets, tmp_path_factory):
    place = tmp_path_factory.mktemp("nested")
    NestedDraft.of(load(targets["large"], attention="sdpa", **KIND), 2, (1, 2)).save(place, dtype=torch.float64)
    add_calibration(place, targets["large"], Calibration((0.3,), 3, ((0.0, 1.0, 0.0, 0.0),) * 2))
    add_calibration(place, targets["small"], Calibration((0.9,), 1, ((0.1, 1.0, 0.0, 0.0),) * 2))
    return place


def alone(target: str) -> list[list[int]]:
    with LLM(target, drafters=[], **KIND) as llm:
        return [c.token_ids for c in llm.generate(PROMPTS, PARAMS, progress=False)]


@pytest.mark.parametrize("kind", ["nested", "model", "suffix"])
def test_each_target_answers_as_if_it_were_alone(kind, targets, folder):
    drafter = {
        "nested": lambda: NestedDrafter(folder, **KIND),
        "model": lambda: ModelDrafter(targets["small"], **KIND),
        "suffix": SuffixDrafter,
    }[kind]()
    with LLM(targets=targets, drafters=[drafter], max_num_seqs=3, controller="fixed", **KIND) as llm:
        rounds = []
        llm.observe(rounds.append)
        done = llm.generate(PROMPTS * 2, PARAMS * 2, model=["large"] * 4 + ["small"] * 4, progress=False)
        assert llm.drafters == [drafter]
        assert llm.memory_plan.weights.keys() == {"large", "small", drafter.name}  # the draft's weights are counted once
    texts = [completion.token_ids for completion in done]
    assert texts == alone(targets["large"]) + alone(targets["small"])
    assert {r.target for r in rounds if r.accepted} == {"large", "small"}


def test_thresholds_lengths_and_what_is_learned_are_each_targets_own(targets, folder):
    drafter = NestedDrafter(folder, **KIND)
    with LLM(targets=targets, drafters=[drafter], controller="fixed", **KIND) as llm:
        rounds = []
        llm.observe(rounds.append)
        llm.generate(PROMPTS * 2, PARAMS * 2, model=["large"] * 4 + ["small"] * 4, progress=False)
    assert {name: found.thresholds for name, found in drafter.calibrations.items()} == {"large": (0.3,), "small": (0.9,)}
    assert {n: max(len(r.drafted) for r in rounds if r.target == n) for n in targets} == {"large": 3, "small": 1}
    tables = {name: confidence.table for name, confidence in drafter.confidences.items()}
    for name, table in tables.items():
        assert sum(table.hits) == pytest.approx(sum(r.accepted for r in rounds if r.target == name), rel=0.1)


def test_a_request_must_say_which_target_it_is_for(targets):
    with LLM(targets=targets, drafters=[], **KIND) as llm:
        assert llm.targets == ("large", "small")
        with pytest.raises(CoveyError, match="model is not given: several targets are served; name one of large, small"):
            llm.generate([5, 6])
        with pytest.raises(CoveyError, match="model='huge': no such target is served"):
            next(llm.stream([5, 6], model="huge"))
        with pytest.raises(CoveyError, match="model has 1 entries for 2 prompts"):
            llm.generate([[5], [6]], model=["large"])
        streamed = [t for chunk in llm.stream(PROMPTS[0], PARAMS[0], model="small") for t in chunk.token_ids]
    assert streamed == alone(targets["small"])[0]


def test_requests_to_different_targets_run_side_by_side(targets, folder):
    async def both() -> list[list[int]]:
        async with AsyncLLM(targets=targets, drafters=[NestedDrafter(folder, **KIND)], **KIND) as llm:
            asked = [llm.generate(PROMPTS[0], PARAMS[0], model=name) for name in targets]
            return [done[0].token_ids for done in await asyncio.gather(*asked)]

    assert asyncio.run(both()) == [alone(targets["large"])[0], alone(targets["small"])[0]]


class OneTarget(Drafter):
    """Says nothing of serving several."""

    name = "one target"

    def propose(self, sequences, lengths):
        return [Draft.empty(s) for s in sequences]


def test_what_cannot_be_served_together_is_refused(targets, tiny):
    with pytest.raises(UnsupportedError, match="drafters='one target': this drafter serves one target only"):
        LLM(targets=targets, drafters=[OneTarget()], **KIND)
    with pytest.raises(UnsupportedError, match="another tokenizer"):
        LLM(targets={"a": targets["small"], "b": "toy"}, drafters=[ModelDrafter(targets["small"], **KIND)], device="cpu")
    with pytest.raises(CoveyError, match="target and targets: give one of them"):
        LLM(targets["small"], targets=targets)
    with pytest.raises(CoveyError, match="targets must be a dict"):
        LLM(targets={})
