"""The load benchmark runs, and finds a server that loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.samples import line, write

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serving_load.py"


@pytest.mark.slow
def test_a_short_load_leaves_nothing_behind(tmp_path):
    prompts = write(tmp_path / "p.jsonl", [line("short", "birds"), line("long", "books", text="x" * 5000)])
    command = [sys.executable, str(SCRIPT), "--minutes", "0.05", "--warm", "2", "--short", "120"]
    command += ["--prompts", str(prompts), "--markdown", str(tmp_path / "short.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, found["faults"], set(found["left_behind"].values())) == (0, [], {0}), found
    assert found["prompts"].startswith("1 of 2 prompts that fit, of birds")
    phases = found["clients"]
    assert phases["short"]["answers"]["400"] > 0 and phases["streams"]["unfinished_streams"] == 0
    assert all(phase["tokens_per_second"] > 0 and phase["first_text_ms"]["p50"] > 0 for phase in phases.values())
    assert "Faults: none." in (tmp_path / "short.md").read_text()
