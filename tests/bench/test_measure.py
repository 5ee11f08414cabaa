"""The order of measuring, what is taken from a journal, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from covey.bench.journal import Journal
from covey.bench.measure import Measuring, rotated
from covey.bench.measurement import Answer, Measurement
from covey.bench.selection import EncodedPrompt, Group, make_groups


class Clockwork:
    """A method that answers every prompt with its own tokens, and keeps a record of who was asked."""

    def __init__(self, name: str, asked: list[tuple[str, tuple[int, ...]]], fails_at: int | None = None) -> None:
        self.name = name
        self.details: dict[str, Any] = {}
        self.asked, self.fails_at = asked, fails_at

    def answer(self, prompts: Sequence[Sequence[int]]) -> Answer:
        if self.fails_at is not None and sum(name == self.name for name, _ in self.asked) == self.fails_at:
            raise RuntimeError("power cut")
        self.asked.append((self.name, tuple(ids[0] for ids in prompts)))
        return Answer(1.0, tuple(map(len, prompts)), tuple(map(tuple, prompts)), None)

    def close(self) -> None:
        """Nothing to close."""


class Record:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.fresh: list[bool] = []
        self.warmed: list[str] = []

    def warming(self, method: str) -> None:
        self.warmed.append(method)

    def measured(self, measurement: Measurement, fresh: bool) -> None:
        self.fresh.append(fresh)


def groups(count: int, batch: int = 1) -> dict[int, list[Group]]:
    return {batch: make_groups(tuple(EncodedPrompt(f"qa{i}", "qa", (i, i)) for i in range(count)), batch)}


def test_methods_take_turns_on_each_group_and_rotate() -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []
    methods = [Clockwork(name, asked) for name in "abc"]
    measurements = Measuring(methods, groups(2), repetitions=2, warmup=0, journal=Journal(None, {})).run(Record())
    order = [("".join(name for name, ids in asked[i : i + 3]), asked[i][1][0]) for i in range(0, 12, 3)]
    assert order == [("abc", 0), ("bca", 1), ("bca", 0), ("cab", 1)]
    assert [m.method for m in measurements] == list("abc") * 4
    assert [(m.unit.repetition, m.ids) for m in measurements[::3]] == [(0, ("qa0",)), (0, ("qa1",)), (1, ("qa0",)), (1, ("qa1",))]


def test_over_as_many_repetitions_as_methods_each_is_first_once_per_group() -> None:
    methods = [Clockwork(name, []) for name in "abcd"]
    for group in range(4):
        assert sorted(rotated(methods, repetition + group)[0].name for repetition in range(4)) == list("abcd")


def test_warming_up_is_not_measured() -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []
    methods = [Clockwork(name, asked) for name in "ab"]
    record = Record()
    measuring = Measuring(methods, groups(4, batch=2), repetitions=1, warmup=1, journal=Journal(None, {}))
    measurements = measuring.run(record)
    assert asked[:2] == [("a", (0, 1)), ("b", (0, 1))]
    assert record.warmed == ["a", "b"]
    assert len(asked) == 2 + 4
    assert len(measurements) == measuring.total == len(record.fresh) == 4
    assert measuring.warmup_seconds.keys() == {"a", "b"}


def test_a_run_that_was_cut_short_goes_on_with_whole_units(tmp_path: Path) -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []
    path = tmp_path / "journal"
    cut = [Clockwork("a", asked), Clockwork("b", asked, fails_at=1), Clockwork("c", asked)]
    with pytest.raises(RuntimeError, match="power cut"):
        Measuring(cut, groups(3), repetitions=1, warmup=0, journal=Journal(path, {})).run(Record())
    assert asked == [("a", (0,)), ("b", (0,)), ("c", (0,))]  # the second group begins with b

    asked.clear()
    record = Record()
    methods = [Clockwork(name, asked) for name in "abc"]
    measurements = Measuring(methods, groups(3), repetitions=1, warmup=0, journal=Journal(path, {})).run(record)
    assert {ids for _, ids in asked} == {(1,), (2,)}
    assert len(measurements) == 9
    assert record.fresh == [False] * 3 + [True] * 6


def test_a_unit_that_lacks_a_method_is_measured_anew_for_all(tmp_path: Path) -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []
    path = tmp_path / "journal"
    cut = [Clockwork("a", asked), Clockwork("b", asked, fails_at=0)]
    with pytest.raises(RuntimeError, match="power cut"):
        Measuring(cut, groups(1), repetitions=1, warmup=0, journal=Journal(path, {})).run(Record())
    asked.clear()
    Measuring([Clockwork(name, asked) for name in "ab"], groups(1), repetitions=1, warmup=0, journal=Journal(path, {})).run(Record())
    assert asked == [("a", (0,)), ("b", (0,))]


def test_a_complete_journal_needs_no_warming_up(tmp_path: Path) -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []
    for expected in (1, 0):
        asked.clear()
        journal = Journal(tmp_path / "journal", {})
        Measuring([Clockwork("a", asked)], groups(1), repetitions=1, warmup=0, journal=journal).run(Record())
        assert len(asked) == expected
    record = Record()
    Measuring([Clockwork("a", asked)], groups(1), repetitions=1, warmup=5, journal=Journal(tmp_path / "journal", {})).run(record)
    assert (asked, record.warmed, record.fresh) == ([], [], [False])
