"""`covey costs` and `covey replay`: what was watched and measured is compared with no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey.config.catalogue import CONTROLLERS
from tests.cli.commands import TOY, error_of, run


@pytest.fixture
def recorded() -> None:
    """t.jsonl and c.json in the working directory."""
    watched = ["--drafters", "suffix", "--controller", "watch", "--ignore-eos", "--trace", "t.jsonl"]
    run("generate", "the birds fly and the birds fly and", *TOY, *watched, "--max-tokens", "80", "--num-speculative-tokens", "4")
    run("costs", *TOY, "--drafters", "suffix", "--max-num-seqs", "2", "--num-speculative-tokens", "4", "--output", "c.json")


def test_a_recorded_answer_is_replayed(recorded: None) -> None:
    arguments = ("replay", "--trace", "t.jsonl", "--costs", "c.json", "--lengths", "2,4", "--batch", "1,3", "--jitter", "0.1")
    shown = run(*arguments, "--json", "r.json").stdout
    assert "batch 1" in shown and "batch 3" in shown and "(best)" in shown
    document = json.loads(Path("r.json").read_text())
    assert {"command", "machine", "versions", "trace_sha256"} <= document.keys()
    assert document["costs"]["drafters"] == ["suffix"]
    assert [cell["batch"] for cell in document["cells"]] == [1, 3]
    for cell in document["cells"]:
        assert list(cell["fixed"]) == ["0", "2", "4"]  # 0 is always there
        assert set(cell["controllers"]) == set(CONTROLLERS) - {"fixed", "watch"}
        assert cell["fixed"]["0"]["over_plain"] == 1 and cell["fixed"][str(cell["best_length"])]["over_best_fixed"] == 1
        assert cell["fixed"]["0"]["tokens_per_round"] == 1 < cell["fixed"]["4"]["tokens_per_round"]
    assert run(*arguments).stdout == shown


def test_costs_are_shown_and_written_and_not_kept() -> None:
    shown = run("costs", *TOY, "--drafters", "suffix", "--max-num-seqs", "1", "--output", "c.json").stdout
    assert "a pass of the target" in shown and "drafting with suffix" in shown and "unread token" in shown
    document = json.loads(Path("c.json").read_text())
    assert document["target"] == "toy" and document["settings"]["max_num_seqs"] == 1
    assert all(seconds > 0 for seconds in document["costs"]["seconds"])
    assert not list(Path("cache").rglob("*.json"))


def test_costs_of_a_target_alone() -> None:
    shown = run("costs", *TOY, "--drafters", "none", "--max-num-seqs", "1").stdout
    assert "a pass of the target" in shown and "drafting" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--controllers", "goodput,wishful"], "controllers='wishful': there is no such controller"),
        (["--controllers", "watch"], "controllers='watch': there is no such controller"),
        (["--lengths", "0,-1"], "lengths='0,-1': lengths must be whole numbers from 0 to 64"),
        (["--lengths", "a"], "lengths='a': lengths must be whole numbers"),
        (["--batch", "0"], "batch='0': batch must be whole numbers from 1"),
        (["--jitter", "-0.5"], "jitter=-0.5: jitter must be a number from 0 to 2"),
        (["--jitter", "nan"], "jitter=nan: jitter must be a number from 0 to 2"),
        (["--min-survival", "1.5"], "min_survival=1.5: min_survival must be a number from 0 to 1"),
    ],
)
def test_bad_values_are_named(arguments: list[str], message: str) -> None:
    assert error_of("replay", "--trace", "t.jsonl", "--costs", "c.json", *arguments).startswith(message)


def test_bad_files_are_named(recorded: None) -> None:
    def wrong(trace: str, costs: str) -> str:
        return error_of("replay", "--trace", trace, "--costs", costs)

    Path("broken.jsonl").write_text("{not json\n")
    Path("list.jsonl").write_text("[]\n")
    Path("empty.jsonl").write_text("")
    Path("other.json").write_text("{}")
    Path("list.json").write_text("[]")
    Path("odd.json").write_text(json.dumps({"costs": {"tokens": [1, 2], "seconds": [0, -1], "seconds_per_reach": 0, "drafts": []}}))
    assert wrong("missing.jsonl", "c.json").startswith("trace='missing.jsonl': not a trace of rounds (no such file")
    assert wrong("broken.jsonl", "c.json").startswith("trace='broken.jsonl': not a trace of rounds (")
    assert wrong("list.jsonl", "c.json").startswith("trace='list.jsonl': not a trace of rounds (")
    assert wrong("empty.jsonl", "c.json").startswith("trace='empty.jsonl': no drafts in it")
    for name in ("missing.json", "other.json", "list.json", "odd.json", "broken.jsonl"):
        assert wrong("t.jsonl", name).startswith(f"costs={name!r}: not a file of costs (")
    assert "no 'costs'" in wrong("t.jsonl", "other.json")


def test_two_runs_in_one_trace_are_refused(recorded: None) -> None:
    Path("two.jsonl").write_text(Path("t.jsonl").read_text() * 2)
    assert "record to a new file" in error_of("replay", "--trace", "two.jsonl", "--costs", "c.json")
