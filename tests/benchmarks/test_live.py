"""benchmarks/live.py on the toy target: all methods at once, cut and gone on with."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covey import LLM, SamplingParams

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "live.py"
DRAWER = SCRIPT.with_name("draw_live.py")
METHODS = ["plain", "plain", "suffix:goodput", "suffix:fixed-2", "random:goodput", "random:fixed-2"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Runs the script in a folder with a few prompts; the cells that its file holds in the end."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # as where it is run as a script
    spec = importlib.util.spec_from_file_location("live_benchmark", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    prompts = tmp_path / "prompts.jsonl"
    asked = [(task, f"{task} number {n}, and {task} again") for n in range(4) for task in ("code", "chat", "qa")]
    lines = [{"id": text, "task": task, "messages": [{"role": "user", "content": text}]} for task, text in asked]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    def run(*arguments: str) -> list[dict[str, Any]]:
        common = ["--target", "toy", "--prompts", str(prompts), "--json", str(tmp_path / "l.json"), "--methods", ",".join(METHODS)]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *common, "--tasks", "code;chat,qa", "--max-tokens", "24", *arguments])
        module.main()
        cells: list[dict[str, Any]] = json.loads((tmp_path / "l.json").read_text())["cells"]
        return cells

    return run


def test_every_method_gives_the_same_and_is_set_against_plain_and_against_what_could_have_been_set(run) -> None:
    cells = run("--batch", "2", "--groups", "3")
    assert [cell["tasks"] for cell in cells] == [["code"], ["chat", "qa"]]
    labels = ["plain", "plain again", *METHODS[2:]]
    for cell in cells:
        assert len(cell["groups"]) == 3  # four prompts of code make two at once: the third is of the same in other company
        for group in cell["groups"]:
            assert list(group["tokens"]) == labels and len(set(group["tokens"].values())) == 1
            assert set(group["differing"].values()) == {0}
        assert list(cell["over_plain"]) == labels[1:]
        assert list(cell["controller_share"]) == METHODS[2:]
        assert all(0 < share < 1 for share in cell["controller_share"].values())
        assert list(cell["lengths"]) == ["suffix:goodput", "random:goodput"]
        for found in cell["lengths"].values():
            assert found["over_best"]["pairs"] == 3 and len(found["best_of_halves"]) == 2
            assert found["speeds"] is None  # of one fixed length there is no worst


def test_it_goes_on_where_it_was_cut_and_not_with_other_settings(run, tmp_path: Path) -> None:
    whole = run("--batch", "1", "--groups", "2")
    document = json.loads((tmp_path / "l.json").read_text())
    first, second = document["cells"]
    cut = [first, {name: second[name] for name in ("batch", "tasks")} | {"groups": second["groups"][:1]}]
    (tmp_path / "l.json").write_text(json.dumps(document | {"cells": cut}))
    again = run("--batch", "1", "--groups", "2")
    assert again[0] == whole[0] and again[1]["groups"][0] == whole[1]["groups"][0]
    assert len(again[1]["groups"]) == 2 and again[1]["over_plain"].keys() == whole[1]["over_plain"].keys()
    more = run("--batch", "1", "--groups", "3")
    assert [cell["groups"][:2] for cell in more] == [cell["groups"] for cell in again]
    assert all(found["pairs"] == 3 for cell in more for found in cell["over_plain"].values())
    with pytest.raises(SystemExit, match="begun with other settings"):
        run("--batch", "1", "--groups", "3", "--max-tokens", "12")


def test_too_few_prompts_and_a_run_without_plain_are_named(run) -> None:
    with pytest.raises(SystemExit, match="only 4 prompts of code"):
        run("--batch", "16", "--groups", "1")
    with pytest.raises(SystemExit):
        run("--batch", "1", "--methods", "suffix:goodput")


def test_what_was_measured_is_drawn_and_printed(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    cells = run("--batch", "1", "--groups", "3")
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [str(DRAWER), str(tmp_path / "l.json"), "--output", str(tmp_path / "l.png")])
    runpy.run_path(str(DRAWER), run_name="__main__")
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1:3] for line in lines] == [
        [f" {tasks}: 1 ", f" `{drafter}` "] for tasks in ("code", "chat, qa") for drafter in ("suffix", "random")
    ]
    ratio = cells[0]["over_plain"]["suffix:goodput"]
    assert f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]" in lines[0]
    assert f"{cells[0]['lengths']['suffix:goodput']['over_best']['median']:.2f} (k = " in lines[0]
    assert (tmp_path / "l.png").stat().st_size > 10_000


def test_the_gap_between_fixed_lengths_is_said_where_several_were_measured(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    labels = ["plain", "suffix:goodput", "suffix:fixed-1", "suffix:fixed-4"]
    cells = run("--batch", "1", "--groups", "2", "--methods", ",".join(labels))
    for cell in cells:
        own, worst, best = cell["lengths"]["suffix:goodput"]["speeds"]
        totals = {
            label: sum(g["tokens"][label] for g in cell["groups"]) / sum(g["seconds"][label] for g in cell["groups"]) for label in labels
        }
        assert own == totals["suffix:goodput"]
        assert worst == min(totals["suffix:fixed-1"], totals["suffix:fixed-4"])
        assert best == max(totals["plain"], totals["suffix:fixed-1"], totals["suffix:fixed-4"])
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [str(DRAWER), str(tmp_path / "l.json"), "--output", str(tmp_path / "l.png")])
    runpy.run_path(str(DRAWER), run_name="__main__")
    *_, suffix, every = capsys.readouterr().out.splitlines()
    ways = [cell["lengths"]["suffix:goodput"]["speeds"] for cell in cells]
    share = sum((own - worst) / best for own, worst, best in ways) / sum((best - worst) / best for _, worst, best in ways)
    assert (
        suffix == f"of the gap between fixed lengths, suffix: {share:.0%}"
        and every == f"of the gap between fixed lengths, all: {share:.0%}"
    )


def test_a_collective_begins_with_what_others_have_learned_and_leaves_their_file_as_it_is(run, tmp_path) -> None:
    place = tmp_path / "state.json"
    with LLM("toy", drafters=["suffix", "grammar"], controller="fixed", collective_state=place) as llm:
        llm.generate("the birds and the birds", SamplingParams(max_tokens=40))
    before = place.read_bytes()
    (cell,) = run("--tasks", "code", "--batch", "1", "--groups", "1", "--methods", "plain,suffix+grammar:fixed-2", "--state", str(place))
    assert cell["groups"][0]["differing"] == {"suffix+grammar:fixed-2": 0}
    assert place.read_bytes() == before
    settings = json.loads((tmp_path / "l.json").read_text())["settings"]
    assert settings["state"] == json.loads(before)
