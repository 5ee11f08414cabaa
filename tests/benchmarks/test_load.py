"""benchmarks/load.py on the toy target: a trace, made-up costs, three phases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from covey import LLM, SamplingParams
from covey.cost import Costs, Drafting, DraftSample, PassSample
from covey.drafters import SuffixDrafter

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "load.py"


REPLAY = ["--trace", "t.jsonl", "--costs", "c.json"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_lengths_follow_the_load_and_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="no pictures without the extra `train`")
    with LLM("toy", drafters=[SuffixDrafter()], controller="watch", trace=tmp_path / "t.jsonl") as llm:
        llm.generate(["the birds fly and the birds fly", "a covey sings"], SamplingParams(max_tokens=300, ignore_eos=True))
    # A pass of one sequence is mostly waiting, one of sixteen is work.
    passes = [PassSample(n, 0, 0.02 + 0.004 * n) for n in (1, 2, 4, 8, 16, 32, 64, 128)]
    costs = Costs.fit(passes, [DraftSample(Drafting(k, k * n, n, n), 1e-5 * k * n) for k in (1, 4) for n in (1, 4)])
    (tmp_path / "c.json").write_text(json.dumps({"costs": costs.to_dict()}))
    given = ["--controllers", "goodput,table", "--lengths", "0,4", "--steps", "40", "--picture", "l.png", "--json", "l.json"]
    done = run(tmp_path, *REPLAY, *given)
    assert done.returncode == 0, done.stderr
    phases = json.loads(done.stdout.splitlines()[-1])
    assert list(phases) == ["fixed-0", "fixed-4", "goodput", "table"]
    assert [phase["mean_length"] for phase in phases["fixed-0"]] == [0, 0, 0]
    first, crowd, last = (phase["mean_length"] for phase in phases["goodput"])
    assert crowd < first and crowd < last
    document = json.loads((tmp_path / "l.json").read_text())
    assert [each["batch"] for each in document["runs"]["goodput"]["each_step"]] == [1] * 40 + [16] * 40 + [1] * 40
    assert (tmp_path / "l.png").stat().st_size > 5000


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, *REPLAY)
    assert done.returncode == 2 and "trace='t.jsonl': not a trace of rounds (no such file" in done.stderr
    done = run(tmp_path, *REPLAY, "--controllers", "wishful")
    assert done.returncode == 2 and "'wishful' is no controller" in done.stderr
    done = run(tmp_path, *REPLAY, "--steps", "0")
    assert done.returncode == 2 and "steps=0" in done.stderr
    done = run(tmp_path, "--trace", "t.jsonl")
    assert done.returncode == 2 and "--costs belongs to --trace" in done.stderr


def test_a_load_that_changes_while_serving(tmp_path: Path) -> None:
    asked = [{"id": str(n), "task": "chat", "messages": [{"role": "user", "content": "the birds fly " * n}]} for n in range(1, 7)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in asked), "utf-8")
    given = ["--prompts", "p.jsonl", "--target", "toy", "--drafters", "suffix", "--max-tokens", "12", "--json", "l.json"]
    done = run(tmp_path, *given, "--controllers", "goodput", "--lengths", "0,2", "--high", "4", "--steps", "30")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "l.json").read_text())
    assert list(document["runs"]) == ["fixed-0", "fixed-2", "goodput"]
    for held in document["runs"].values():
        batches = [each["batch"] for each in held["each_step"]]
        assert len(batches) == 90 and set(batches[30:60]) <= {1, 2, 3, 4} and 4 in batches[30:60]
        assert set(batches[:30] + batches[60:]) <= {0, 1}  # aborted as soon as the load falls
        assert all(phase["tokens_per_second"] > 0 for phase in held["phases"])
    drafted = [each["length"] for each in document["runs"]["fixed-2"]["each_step"]]
    assert max(drafted) > 0 and not any(each["length"] for each in document["runs"]["fixed-0"]["each_step"])
