"""benchmarks/conversation.py on the toy target: later turns read what is new alone, and say the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "conversation.py"


def test_later_turns_of_a_conversation_find_it_read(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--target", "toy", "--days", "4", "--repetitions", "1", "--json", "c.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["same_text"] == [True] * 3
    first, *later = zip(summary["cached_tokens"], summary["prompt_tokens"], strict=True)
    assert first[0] == 0 and all(prompt - 100 < cached < prompt for cached, prompt in later)
    document = json.loads((tmp_path / "c.json").read_text())
    assert all(turn["cached_tokens"] == 0 for turn in document["cold"][0])
    assert document["command"] and document["versions"]
