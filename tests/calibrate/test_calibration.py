"""Calibration from end to end on a tiny model: what it observes is what the exits say, and what it writes is used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from covey import LLM, SamplingParams
from covey.calibrate import CalibrateSettings, calibrate
from covey.calibrate.observations import Observations, WatchedDrafter, observe
from covey.config import EngineConfig
from covey.drafters import NestedDrafter
from covey.drafters.expected import expected_acceptance
from covey.errors import CoveyError
from covey.model.load import load
from covey.model.nested import NestedDraft
from tests.bench.samples import line, write

KIND = {"dtype": "float64", "device": "cpu"}


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture
def folder(target, tmp_path) -> Path:
    """The target's own first layers with exits, the last of which is the target."""
    NestedDraft.of(load(target, attention="sdpa", **KIND), 4, (1, 4)).save(tmp_path / "d", dtype=torch.float64)
    return tmp_path / "d"


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_what_is_observed_is_what_the_exits_would_draft(temperature, target, folder):
    drafter = WatchedDrafter(folder, **KIND)
    params = SamplingParams(max_tokens=12, ignore_eos=True, temperature=temperature, seed=4)
    prompts = [[5, 6, 7], [9] * 40, [100, 3, 8, 44]]
    with LLM(target, drafters=[], **KIND) as llm:
        plain = [c.token_ids for c in llm.generate(prompts, params, progress=False)]
    with LLM(target, drafters=[drafter], max_num_seqs=2, controller="fixed", **KIND) as llm:
        rounds = []
        llm.observe(rounds.append)
        seen = observe(llm, drafter, prompts, [params] * 3)
        assert [c.token_ids for c in llm.generate(prompts, params, progress=False)] == plain
    assert not any(r.drafted for r in rounds[: sum(map(len, plain))])
    # One token of each text is the prompt's own step, or the last, which nothing is drafted for.
    assert numpy.bincount(seen.text).tolist() == [11, 11, 11]
    assert seen.features.shape == (33, 2, 4)
    assert seen.right[:, 1].all()
    assert not seen.right[:, 0].all()


def test_observations_are_kept_and_found_again(tmp_path):
    seen = Observations(numpy.array([0, 0, 1], numpy.int32), numpy.ones((3, 2, 4), numpy.float32), numpy.array([[True, False]] * 3))
    seen.save(tmp_path / "o", {"of": "this"})
    held = Observations.load(tmp_path / "o", {"of": "this"})
    assert held is not None
    assert numpy.array_equal(held.right, seen.right)
    assert Observations.load(tmp_path / "o", {"of": "that"}) is None
    assert Observations.load(tmp_path / "nothing", {}) is None


def settings(target: str, folder: Path, **options: object) -> CalibrateSettings:
    prompts = write(folder.parent / "p.jsonl", [line(f"p{i}", ("a", "b")[i % 2], text=f"bird {i}") for i in range(8)])
    base = CalibrateSettings(draft=folder, prompts=prompts, target=target, engine=EngineConfig(**KIND))
    return replace(base, **{"max_tokens": 10, "longest": 3, "repetitions": 1, "limit": 4, **options})


def test_calibration_writes_what_the_drafter_then_uses(target, folder):
    steps: list[str] = []
    profile = calibrate(settings(target, folder), lambda step, share: steps.append(step))
    chosen = profile["chosen"]
    assert list(dict.fromkeys(steps)) == ["observing", "measuring costs", "searching", "trying the best"]
    place = folder / f"calibration-{Path(target).name}"
    assert json.loads((place / "profile.json").read_text())["chosen"] == json.loads(json.dumps(chosen))
    drafter = NestedDrafter(folder, **KIND)
    with LLM(target, drafters=[drafter], controller="fixed", **KIND) as llm:
        llm.generate([5, 6], SamplingParams(max_tokens=4))
    used = drafter.calibrations[target]
    assert (used.thresholds, used.num_tokens) == (tuple(chosen["thresholds"]), chosen["num_tokens"])
    assert used.confidence == tuple(profile["confidence"])
    tried = profile["tried"]
    assert tried[0]["prediction"]["plan"]["num_tokens"] == 0
    fastest = max(tried, key=lambda each: each["median_over_plain"])
    assert fastest["prediction"]["plan"] == chosen
    assert expected_acceptance([f"nested:{folder}"], target) == (round(fastest["prediction"]["acceptance"], 4) or None)
    pytest.importorskip("matplotlib", reason="no picture without the extra `train`")
    assert (place / "profile.png").stat().st_size > 1000


def test_observing_is_done_once(target, folder, monkeypatch):
    calibrate(settings(target, folder))

    def refuse(*arguments: object) -> None:
        raise AssertionError("observed again")

    monkeypatch.setattr("covey.calibrate.calibration.observe", refuse)
    calibrate(settings(target, folder))
    with pytest.raises(AssertionError, match="observed again"):
        calibrate(settings(target, folder, seed=1))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"batch": 0}, "batch=0: batch must be at least 1"),
        ({"limit": 1}, "limit=1: limit must be at least 2"),
        ({"temperatures": ()}, "temperatures is empty"),
        ({"max_tokens": 600}, "no task has two prompts that fit"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, why, target, folder):
    with pytest.raises(CoveyError, match=why):
        calibrate(settings(target, folder, **options))
