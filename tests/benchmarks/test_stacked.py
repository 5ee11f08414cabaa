"""benchmarks/stacked.py on a tiny model: every way is timed, and common weights are counted once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.exactness.drafters import save_specialist, save_untrained

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "stacked.py"


def test_every_way_to_run_kin_is_timed(tiny, tmp_path: Path) -> None:
    target = str(tiny("llama"))
    basis = save_untrained(tmp_path / "basis", target, (1,), kind="self")
    kin = [basis, save_specialist(tmp_path / "code", basis, target)]
    options = [
        "--target",
        target,
        "--dtype",
        "float64",
        "--kin",
        ",".join(map(str, kin)),
        "--batch",
        "1,2",
        "--turns",
        "2",
        "--context",
        "9",
    ]
    command = [sys.executable, str(SCRIPT), *options, "--json", "s.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    ways = {"stacked", "one after another", "one alone", "one of a stack"}
    assert [cell["sequences"] for cell in summary["cells"]] == [1, 2]
    assert all(cell["ms"].keys() == ways and min(each["median"] for each in cell["ms"].values()) > 0 for cell in summary["cells"])
    held = summary["weight_bytes"]
    assert held["one alone"] < held["stacked"] == held["one of a stack"] < held["one after another"] == 2 * held["one alone"]
    assert json.loads((tmp_path / "s.json").read_text())["command"]
