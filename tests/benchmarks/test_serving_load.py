"""The load benchmark runs, and finds a server that loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serving_load.py"


@pytest.mark.slow
def test_a_short_load_leaves_nothing_behind():
    command = [sys.executable, str(SCRIPT), "--minutes", "0.05", "--short", "120"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, set(found["left_behind"].values())) == (0, {0}), found
    assert found["clients"]["short"]["answers"]["400"] > 0 and found["clients"]["streams"]["unfinished_streams"] == 0
