"""Two manners compared in turn: what slows both cancels out, and what is not clear takes longer."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from covey.pipeline.manner import Measured
from covey.pipeline.trial import Trial


def run(rival: float, slow: Callable[[int], float] = lambda step: 1.0, sequences: int = 4) -> tuple[Trial, list[str]]:
    """A trial in which the rival takes `rival` seconds for each of the kept one's, and everything `slow` times as long at a step."""
    trial, names = Trial("serial", "ahead"), list[str]()
    while trial.verdict is None:
        names.append(trial.name)
        seconds = (rival if trial.name == "ahead" else 1.0) * slow(len(names))
        trial.add(Measured((4,) * sequences, (2,) * sequences, seconds, 0.3, True), worth=3.0 * sequences, sequences=sequences)
    return trial, names


@pytest.mark.parametrize(("rival", "verdict"), [(0.8, True), (0.95, True), (1.0, False), (1.2, False)])
def test_the_faster_one_is_told(rival: float, verdict: bool) -> None:
    trial, names = run(rival)
    assert trial.verdict is verdict
    assert trial.gain == pytest.approx(1 / rival)
    assert len(names) <= 15


@pytest.mark.parametrize(("rival", "verdict"), [(0.9, True), (1.05, False)])
def test_a_machine_that_gets_slower_and_slower_changes_nothing(rival: float, verdict: bool) -> None:
    trial, _ = run(rival, lambda step: 1.02**step)
    assert trial.verdict is verdict
    assert trial.gain == pytest.approx(1 / rival, rel=0.01)


def test_what_is_not_clear_takes_longer_and_ends() -> None:
    chooser = random.Random(3)
    trial, names = run(0.95, lambda step: max(0.3, chooser.gauss(1.0, 0.2)))
    assert 20 < len(names) <= 45
    assert trial.verdict is not None


def test_a_hopeless_rival_is_given_up_at_once() -> None:
    trial, names = run(1.5)
    assert (trial.verdict, names) == (False, ["serial"] * 3 + ["ahead"] * 3)
    assert trial.lost == pytest.approx(1.5)


def test_what_was_interrupted_is_not_compared() -> None:
    trial = Trial("serial", "halves")
    step = Measured((4,), (2,), 1.0, 0.3, True)
    for _ in range(3):
        trial.add(step, 3.0, 1)
    assert trial.name == "halves"
    trial.interrupt()
    assert (trial.name, trial.gain) == ("serial", 1.0)
