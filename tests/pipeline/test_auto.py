"""`auto` finds the manner that is fastest, with times that are made up, and does not change its mind for little."""

from __future__ import annotations

import pytest

from covey.pipeline.auto import Auto
from covey.pipeline.manner import Measured


def step(auto: Auto, count: int, seconds: dict[str, float], draft: float, verify: float, able: bool = True, tokens: float = 3.0) -> str:
    """One step under the manner that it asks for, which takes so long for a round of all."""
    name = auto.manner(count, able).name
    sequences = -(-count // 2) if name == "halves" else count
    auto.measured(Measured(sequences, round(tokens * sequences), seconds[name] * sequences / count, draft, verify, True))
    return name


@pytest.mark.parametrize("best", ["serial", "halves", "ahead"])
@pytest.mark.parametrize("count", [2, 8])
def test_the_fastest_is_found_and_kept(best, count):
    auto = Auto()
    seconds = {name: 1.0 if name == best else 1.3 for name in ("serial", "halves", "ahead")}
    names = [step(auto, count, seconds, draft=0.5, verify=0.5) for _ in range(200)]
    assert set(names[-50:]) == {best}
    assert set(names) == {"serial", "halves", "ahead"}, "all were tried"


def test_nothing_is_tried_where_drafting_takes_no_time_to_speak_of():
    auto = Auto()
    names = {step(auto, 4, {"serial": 1.0}, draft=0.02, verify=0.98) for _ in range(3000)}
    assert names == {"serial"}


def test_a_little_faster_is_not_enough():
    auto = Auto()
    names = [step(auto, 1, {"serial": 1.0, "ahead": 0.97}, draft=0.5, verify=0.5) for _ in range(200)]
    assert (names[-1], "ahead" in names) == ("serial", True)


def test_ahead_is_not_tried_with_a_drafter_that_cannot():
    auto = Auto()
    assert {step(auto, 1, {"serial": 1.0}, draft=0.5, verify=0.5, able=False) for _ in range(200)} == {"serial"}


def test_each_size_of_batch_has_its_own_and_a_single_step_of_another_is_no_change():
    auto = Auto()
    small, large = {"serial": 1.0, "halves": 1.0, "ahead": 0.6}, {"serial": 1.0, "halves": 0.6, "ahead": 1.5}
    for _ in range(100):
        step(auto, 1, small, 0.5, 0.5)
    assert auto.manner(8, able=True).name == "ahead"
    for _ in range(200):
        step(auto, 8, large, 0.5, 0.5)
    assert auto.kept == {"1": "ahead", "8": "halves"}
    for _ in range(5):
        name = step(auto, 1, small, 0.5, 0.5)
    assert name == "ahead", "what is known of a load is remembered"


def test_it_looks_again_and_follows_a_machine_that_has_changed():
    auto = Auto()
    for _ in range(200):
        step(auto, 1, {"serial": 1.0, "ahead": 0.6}, 0.5, 0.5)
    names = [step(auto, 1, {"serial": 1.0, "ahead": 1.4}, 0.5, 0.5) for _ in range(2000)]
    assert names[0] == "ahead"
    assert names[-1] == "serial"
    assert names.count("ahead") < 1000
