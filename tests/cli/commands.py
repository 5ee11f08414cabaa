"""Runs a command as a person does, on the toy target."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from covey.cli import app

TOY = ["--target", "toy", "--max-model-len", "512"]


def run(*arguments: str, code: int = 0, stdin: str = "") -> Result:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exit_code == code, result.output
    return result


def error_of(*arguments: str) -> str:
    """The one line that a failing command leaves on stderr."""
    lines = run(*arguments, code=2).stderr.splitlines()
    assert [line.startswith("covey: error: ") for line in lines] == [True], lines
    return lines[0].removeprefix("covey: error: ")
