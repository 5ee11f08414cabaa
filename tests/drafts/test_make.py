"""drafts/make.py, which makes and compares drafts in stages, from a recording to a table; cut short, it goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from covey import LLM
from covey.train.record import RecordSettings, record
from tests.bench.samples import line, write

SCRIPT = Path(__file__).parents[2] / "drafts" / "make.py"


def make(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_a_draft_is_trained_calibrated_and_put_in_a_table(tiny, tmp_path):
    target = str(tiny("llama", layers=4))
    write(tmp_path / "p.jsonl", [line(f"p{i}", ("a", "b")[i % 2], text=f"bird {i}") for i in range(90)])
    dev = write(tmp_path / "dev.jsonl", [line(f"d{i}", text=f"covey {i}") for i in range(4)])
    with LLM(target, drafters=[], dtype="float32", device="cpu") as llm:
        settings = RecordSettings(prompts=tmp_path / "p.jsonl", folder=tmp_path / "r", target=target, max_tokens=12, top=4, hidden=True)
        record(llm, settings)
    common = ["--apart-from", str(dev), "--recording", "r", "--output", "made", "--target", target, "--variants", "first-exit"]
    short = [*common, "--steps", "2", "--calibrate-on", "2", "--batch-size", "8"]
    cut = make(*short, "--minutes", "0", folder=tmp_path)
    assert "out of time; the same command goes on from here" in cut.stdout
    done = make(*short, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "table.md").read_text().splitlines()[2].startswith("| first-exit | ")
    again = make(*short, folder=tmp_path)
    assert "covey train" not in again.stdout
    assert "variants='other': known are self," in make(*common[:-1], "other", folder=tmp_path).stderr
