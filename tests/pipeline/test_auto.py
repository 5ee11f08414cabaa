"""`auto` finds the manner that is fastest, with times that are made up, does not change its mind for little, and loses little by trying."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from covey.pipeline.auto import Auto
from covey.pipeline.manner import Measured

LENGTH = 4


@dataclass
class Machine:
    """Steps of made-up times. seconds: a round of all sequences, by manner, of which `draft` is drafting; noise: the standard deviation
    of a step's, as a share."""

    auto: Auto = field(default_factory=Auto)
    noise: float = 0.0
    chance: float = 1.0
    chooser: random.Random = field(default_factory=lambda: random.Random(1))
    spent: float = 0.0
    rounds: float = 0.0

    def step(self, count: int, seconds: dict[str, float], draft: float = 0.5, able: bool = True, steady: bool = True) -> str:
        name = self.auto.manner(count, able).name
        sequences = -(-count // 2) if name == "halves" else count
        took = seconds[name] * sequences / count * max(0.3, self.chooser.gauss(1.0, self.noise))
        right = [LENGTH if self.chooser.random() < self.chance else self.chooser.randrange(LENGTH) for _ in range(sequences)]
        self.auto.measured(Measured((LENGTH,) * sequences, tuple(right), took, draft * sequences / count, steady))
        self.spent += took
        self.rounds += sequences / count
        return name

    def run(self, rounds: int, count: int, seconds: dict[str, float], **options: float) -> list[str]:
        """The manner of every step."""
        end, names = self.rounds + rounds, []
        while self.rounds < end:
            names.append(self.step(count, seconds, **options))  # type: ignore[arg-type]
        return names


def times(best: str, other: float = 1.3) -> dict[str, float]:
    return {name: 1.0 if name == best else other for name in ("serial", "halves", "ahead")}


@pytest.mark.parametrize("best", ["serial", "halves", "ahead"])
@pytest.mark.parametrize("count", [2, 8])
def test_the_fastest_is_found_and_kept(best: str, count: int) -> None:
    machine = Machine()
    names = machine.run(80, count, times(best))
    assert set(names[-20:]) == {best}
    assert set(names) == {"serial", "halves", "ahead"}, "all were tried"


@pytest.mark.parametrize("seed", range(4))
def test_halves_that_win_a_twelfth_are_found_within_a_few_requests_of_a_noisy_machine(seed: int) -> None:
    """Drafts that are seldom right as a whole group: going ahead promises nothing, and is not tried."""
    machine = Machine(noise=0.03, chance=0.4, chooser=random.Random(seed))
    names = machine.run(60, 8, {"serial": 1.0, "halves": 0.92}, draft=0.2)
    assert set(names[-20:]) == {"halves"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 8])
def test_what_is_lost_in_trials_is_a_hundredth_of_the_time(count: int, seed: int) -> None:
    """Both others seem to win, and are slower, as on processors that target and drafter share."""
    machine = Machine(noise=0.05, chance=0.9, chooser=random.Random(seed))
    machine.run(2000, count, times("serial", other=1.25), draft=0.3)
    assert machine.auto.kept == {str(count): "serial"}
    assert machine.spent < 1.015 * machine.rounds
    fresh = Machine(noise=0.05, chance=0.9, chooser=random.Random(seed))
    fresh.run(190, count, times("serial", other=1.25), draft=0.3)
    assert fresh.spent < 1.02 * fresh.rounds * (1 + 0.05 / 190**0.5), "a single request of some length, too"


def test_nothing_is_tried_where_drafting_takes_no_time_to_speak_of() -> None:
    assert set(Machine().run(3000, 4, {"serial": 1.0}, draft=0.02)) == {"serial"}


def test_going_ahead_is_not_tried_where_whole_groups_are_hardly_ever_right() -> None:
    assert "ahead" not in Machine(chance=0.5).run(500, 16, {"serial": 1.0, "halves": 1.1})


def test_halves_are_not_tried_where_half_a_batch_is_known_to_take_nearly_as_long() -> None:
    machine = Machine(chance=0.0)
    machine.run(10, 4, {"serial": 0.95, "halves": 9.0, "ahead": 9.0}, draft=0.24)
    assert set(machine.run(500, 8, {"serial": 1.0}, draft=0.25)) == {"serial"}


def test_a_little_faster_is_not_enough() -> None:
    names = Machine().run(200, 1, {"serial": 1.0, "ahead": 0.98})
    assert (names[-1], "ahead" in names) == ("serial", True)


def test_ahead_is_not_tried_with_a_drafter_that_cannot() -> None:
    assert set(Machine().run(200, 1, {"serial": 1.0}, able=False)) == {"serial"}


def test_each_size_of_batch_has_its_own_and_a_single_step_of_another_is_no_change() -> None:
    machine = Machine()
    small, large = {"serial": 1.0, "halves": 1.0, "ahead": 0.6}, {"serial": 1.0, "halves": 0.6, "ahead": 1.5}
    machine.run(100, 1, small)
    assert machine.auto.manner(8, able=True).name == "ahead"
    machine.run(200, 8, large)
    assert machine.auto.kept == {"1": "ahead", "8": "halves"}
    assert machine.run(5, 1, small)[-1] == "ahead", "what is known of a load is remembered"


def test_it_looks_again_and_follows_a_machine_that_has_changed() -> None:
    machine = Machine()
    machine.run(200, 1, {"serial": 1.0, "ahead": 0.6})
    names = machine.run(2000, 1, {"serial": 1.0, "ahead": 1.4})
    assert names[0] == "ahead"
    assert names[-1] == "serial"
    assert names.count("ahead") < 500


def test_what_fell_short_with_one_batch_is_believed_less_with_another() -> None:
    machine, slower = Machine(), {"serial": 1.0, "ahead": 1.25}
    assert "ahead" in machine.run(60, 1, slower, draft=0.1)
    assert "ahead" in Machine().run(40, 2, slower | {"halves": 1.1}, draft=0.1), "by itself it is tried"
    assert set(machine.run(12, 2, slower, draft=0.1)) == {"serial"}


def test_a_rival_waits_for_quieter_times_where_nothing_can_be_counted() -> None:
    machine = Machine()
    machine.run(8, 8, times("serial"))
    machine.step(8, times("serial"))
    names = [machine.step(8, times("serial"), steady=False) for _ in range(60)]
    assert names.count("serial") > 40
    assert names[-1] == "serial"
