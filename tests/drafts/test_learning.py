"""drafts/learning.py, which draws how a draft learned that was trained in several steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRAFTS = Path(__file__).parents[2] / "drafts"


def test_the_last_step_is_what_the_draft_that_ships_says_of_its_training(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need covey[train]")
    shipped = DRAFTS / "smollm2-nested"
    subprocess.run([sys.executable, str(DRAFTS / "learning.py"), str(shipped), "--output", str(tmp_path)], check=True, timeout=120)
    (step,) = json.loads((tmp_path / "learning.json").read_text("utf-8"))
    assert step == json.loads((shipped / "learning.json").read_text("utf-8"))[-1]
    assert (
        step["evaluations"][-1][1]
        == json.loads((shipped / "config.json").read_text("utf-8"))["covey_nested"]["training"]["held_out"]["agreement_1"]
    )
    assert (tmp_path / "learning.png").stat().st_size > 10_000
