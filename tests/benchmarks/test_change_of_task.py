"""benchmarks/change_of_task.py on the toy target: conversations of two turns, and when the new best member leads."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from covey.drafters.corpus import Corpus
from covey.types import Contribution
from tests.bench.samples import line, write
from tests.drafters.test_economy import ROUND

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "change_of_task.py"


def test_two_turns_are_held_and_counted(tmp_path):
    Corpus.of([[5, 6, 7]]).save(tmp_path / "c.safetensors")
    write(tmp_path / "p.jsonl", [line(f"p{i}", ("code", "summarization")[i % 2], text=f"bird {i}") for i in range(4)])
    arguments = [
        "--prompts",
        "p.jsonl",
        "--drafters",
        "suffix,suffix:c.safetensors",
        "--target",
        "toy",
        "--max-tokens",
        "20",
        "--trace",
        "t",
    ]
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert [each["prompts"] for each in document["each"]] == [["p0", "p1"], ["p2", "p3"], ["p1", "p0"], ["p3", "p2"]]
    assert len((tmp_path / "t").read_text().splitlines()) > 8


def test_rounds_are_counted_until_the_new_best_leads():
    followed = runpy.run_path(str(SCRIPT))["followed"]

    def rounds(*rates):
        return [replace(ROUND, members=(Contribution("a", 0.5), Contribution("b", rate))) for rate in rates]

    found = followed([rounds(0.1, 0.2), rounds(0.3, 0.4, 0.6, 0.6, 0.9)])
    assert (found["before"], found["after"], found["until"], found["rounds"]) == ("a", "b", 2, 5)
    assert followed([rounds(0.7), rounds(0.8)])["until"] is None
