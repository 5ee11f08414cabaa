"""benchmarks/overlap.py: its sums, on steps that are made up, and a run on the toy target that is begun, stopped and gone on with."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "overlap.py"


@pytest.fixture(scope="module")
def overlap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("overlap_benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # as where it is run as a script
        spec.loader.exec_module(module)
    return module


def test_the_formulas(overlap: ModuleType) -> None:
    serial, half = {"draft": 0.5, "rest": 1.0}, {"draft": 0.3, "rest": 0.6}
    assert overlap.predicted(serial, half, 0.5) == {"halves": pytest.approx(1.5 / 1.2), "ahead": pytest.approx(1.5 / 1.25)}
    assert overlap.predicted(serial, None, None) == {}


def test_a_round_of_halves_is_two_steps_and_what_was_waited_for_is_no_part_of_the_rest(overlap: ModuleType) -> None:
    steps = [(overlap.Step(0.0, 4, 4, draft=0.3, hidden=0.2, verify=0.5, beside=0.2, manner="halves"), 0.7) for _ in range(6)]
    found = overlap.means(steps, 8)
    assert found["round"] == pytest.approx(1.4)
    assert found["rest"] == pytest.approx(0.6)
    assert (found["draft"], found["there"]) == (pytest.approx(0.3), 1.0)
    assert overlap.means([], 8) is None


def test_what_was_reached_is_a_share_of_what_the_formula_gives(overlap: ModuleType) -> None:
    times = {"round": 1.5, "draft": 0.5, "rest": 1.0, "verify": 0.9, "there": 0.0}
    halves = times | {"round": 1.25, "verify": 0.6}
    found = overlap.reached(
        {"serial": times, "halves": halves, "halves, one stream": halves, "auto": None}, times | {"draft": 0.3, "rest": 0.6, "verify": 0.5}
    )
    assert set(found) == {"halves", "halves, one stream"}
    assert found["halves"]["predicted"] == pytest.approx(1.25)
    assert found["halves"]["measured"] == pytest.approx(1.2)
    assert found["halves"]["share"] == pytest.approx(0.96)
    assert found["halves"]["pass_slowed_by"] == pytest.approx(1.2)


def test_cells_are_written_one_by_one_and_gone_on_with(overlap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "o.json"

    def run(*arguments: str) -> list[dict[str, Any]]:
        """The cells that are there in the end."""
        common = ["--target", "toy", "--drafters", "suffix", "--controller", "fixed", "--longest", "100", "--max-tokens", "120"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *common, "--repetitions", "1", "--json", str(place), *arguments])
        with pytest.raises(SystemExit) as ended:
            overlap.main()
        assert not ended.value.code
        return json.loads(place.read_text())["cells"]

    (cell,) = run("--batch", "2")
    assert set(cell["reached"]) == {"ahead", "halves"}
    assert set(cell["texts_that_differ"].values()) == {0}
    assert cell["full_steps_of_half"]["steps"] > 0
    document = json.loads(place.read_text())
    place.write_text(json.dumps(document | {"cells": [cell, {"batch": 1, "error": "MemoryError: deliberate"}]}))
    first, second = run("--batch", "1,2")
    assert first == cell
    assert (second["batch"], "error" in second) == (1, False)
    with pytest.raises(AssertionError, match="begun with other settings"):
        run("--batch", "2", "--length", "3")
