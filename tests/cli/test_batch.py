"""`covey generate` with a file of prompts: the same answers, taken up where it was cut, bad lines named."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.commands import TOY, error_of, run


def write_input(*lines: object) -> None:
    Path("in.jsonl").write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def answers() -> dict[object, dict[str, object]]:
    return {record["id"]: record for record in map(json.loads, Path("out.jsonl").read_text().splitlines())}


FILES = ["generate", "--input", "in.jsonl", "--output", "out.jsonl", *TOY, "--max-tokens", "20"]


def test_file_of_prompts_is_answered_as_single_prompts_are() -> None:
    write_input(
        *({"prompt": f"the birds {i}", "id": i, "task": "t"} for i in range(20)), {"messages": [{"role": "user", "content": "the birds 0"}]}
    )
    result = run(*FILES)
    assert "out.jsonl: 21 prompts answered" in result.stderr
    found = answers()
    assert set(found) == {*range(20), "line-21"}
    assert found[3]["task"] == "t"
    assert (
        found["line-21"]["text"]
        == found[0]["text"]
        == run("generate", "the birds 0", *TOY, "--max-tokens", "20", "-q").stdout.removesuffix("\n")
    )


def test_file_of_prompts_is_taken_up_where_it_was_cut() -> None:
    write_input(*({"prompt": f"the birds {i}", "id": i} for i in range(6)))
    run(*FILES)
    whole = answers()
    lines = Path("out.jsonl").read_text().splitlines(keepends=True)
    Path("out.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    result = run(*FILES)
    assert "3 prompts answered, 3 were already" in result.stderr
    assert Path("out.jsonl").read_text().splitlines(keepends=True)[:3] == lines[:3]
    assert {i: a["text"] for i, a in answers().items()} == {i: a["text"] for i, a in whole.items()}


def test_interrupted_run_can_be_taken_up() -> None:
    """A real Ctrl-C, once the first answers are written: exit code 130, one line, whole answers, and the rest later."""
    write_input(*({"prompt": f"the birds {i}", "id": i} for i in range(120)))
    command = [*FILES, "--ignore-eos", "--max-tokens", "200", "--quiet"]
    with subprocess.Popen([sys.executable, "-m", "covey", *command], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (Path("out.jsonl").exists() and Path("out.jsonl").stat().st_size):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "covey: interrupted\n")
    assert 0 < len(answers()) < 120
    run(*command)
    assert set(answers()) == set(range(120))


def test_bad_lines_are_named_and_the_others_answered() -> None:
    write_input({"prompt": "a"}, "{", {"prompt": "b" * 600}, {"prompt": "c", "sampling": {"logit_bias": {"99999": 1}}}, {"prompt": "d"})
    lines = run(*FILES, code=2).stderr.splitlines()
    named = [line.split(":")[0] for line in lines if line.startswith("in.jsonl, ")]
    assert sorted(named) == ["in.jsonl, line 2", "in.jsonl, line 3", "in.jsonl, line 4"]
    assert lines[-1] == "covey: error: in.jsonl: 3 lines have no answer: 2, 3, 4; mend them and run the same command again"
    assert set(answers()) == {"line-1", "line-5"}


def test_strict_stops_at_a_bad_line_before_anything_runs() -> None:
    write_input({"prompt": "a"}, "{")
    assert error_of(*FILES, "--strict").startswith("in.jsonl, line 2: not JSON")
    assert not Path("out.jsonl").exists()


def test_strict_stops_at_a_prompt_that_the_engine_refuses() -> None:
    write_input({"prompt": "b" * 600})
    assert run(*FILES, "--strict", code=2).stderr.splitlines()[-1].startswith("covey: error: in.jsonl, line 1: prompt has ")
