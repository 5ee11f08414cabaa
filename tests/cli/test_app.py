"""The command as a whole: help, version, one-line errors with exit codes, settings from a file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import covey
from covey.cli import app
from tests.cli.commands import TOY, error_of, run


def test_help_is_quick_and_loads_no_model_library() -> None:
    code = (
        "import sys\nsys.argv = ['covey', '--help']\nfrom covey.cli import main\n"
        "try:\n    main()\nfinally:\n    sys.stderr.write(f\"{sorted({'torch', 'transformers', 'numpy'} & sys.modules.keys())}\")"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]"
    assert "generate" in done.stdout
    assert time.perf_counter() - began < 20  # a guard against hanging, not a measurement


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version(arguments: list[str]) -> None:
    assert run(*arguments).stdout == f"covey {covey.__version__}\n"


def test_no_command_shows_the_help() -> None:
    assert "Commands" in run().stdout


def test_python_m_covey_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "covey", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"covey {covey.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate"], "give either a PROMPT or --input FILE"),
        (["generate", "a", "--input", "b"], "give either a PROMPT or --input FILE"),
        (["generate", "--input", "b"], "--input and --output go together"),
        (["generate", "a", "--strict"], "--strict is for --input: leave it out"),
        (["generate", "a", "--raw", "--system", "b"], "--raw gives the prompt as it is"),
        (["generate", "--input", "a", "--output", "b", "--json"], "--json is for a single PROMPT"),
        (["generate", "--input", "missing", "--output", "b"], "missing: no such file or directory"),
        (
            ["generate", "a", "--max-num-seqs", "0"],
            "max_num_seqs=0: max_num_seqs must be a whole number from 1 to 4096 (from --max-num-seqs)",
        ),
        (["generate", "a", "--max-num-seq", "1"], "No such option: --max-num-seq"),
        (["generat", "a"], "No such command 'generat'"),
        (["fetch"], "Missing argument 'name'"),
        (["generate", "a", "--target", "no-such-model"], "target 'no-such-model': there is no such folder or file"),
        (["generate", "a", "--config", "none.toml"], "config='none.toml': no such file or directory"),
    ],
)
def test_mistake_is_one_line_with_a_way_out(arguments: list[str], message: str) -> None:
    assert message in error_of(*arguments)


def test_unknown_drafter_is_refused_by_name() -> None:
    assert "'sufix'" in run("generate", "a", *TOY, "--drafters", "sufix", code=2).stderr


def test_fault_is_one_line_unless_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("something\nbroke")

    monkeypatch.setattr("covey.cli.startup.prepare", broken)
    assert error_of("generate", "a", *TOY).startswith("RuntimeError: something broke (a fault of covey")
    monkeypatch.setenv("COVEY_DEBUG", "1")
    result = CliRunner().invoke(app, ["generate", "a", *TOY])
    assert isinstance(result.exception, RuntimeError)


def test_interruption_is_one_line_and_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("covey.cli.startup.prepare", interrupted)
    assert run("generate", "a", *TOY, code=130).stderr == "covey: interrupted\n"


def test_settings_of_a_file_reach_the_command() -> None:
    Path("covey.toml").write_text('target = "toy"\nmax_model_len = 512\n[sampling]\nmax_tokens = 5\n')
    (line,) = run("generate", "the birds", "--json").stdout.splitlines()
    assert len(json.loads(line)["token_ids"]) == 5
