"""The `covey` command: its subcommands by name, and how whatever goes wrong is said in one line.

covey --help
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, TyperException

import covey
from covey.cli import bench, calibrate, chat, corpus, costs, demo, doctor, fetch, generate, invent, plot, record, replay, serve, train
from covey.cli.options import with_settings
from covey.config import all_options, debug
from covey.errors import CoveyError

USER_ERROR = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """A group of commands whose every failure is one line on stderr and an exit code: 2, or 130 after Ctrl-C."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **named: Any) -> None:
        named |= {"standalone_mode": False, "prog_name": "covey"}
        try:
            code = super().main(args, **named)
        except TyperException as error:
            sys.exit(_say(_usage(error)))
        except (Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except Exception as error:
            if debug():
                raise
            sys.exit(_say(_one_line(error)))
        if code == INTERRUPTED:
            sys.stderr.write("covey: interrupted\n")
        sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> int:
    sys.stderr.write(f"covey: error: {message}\n")
    return USER_ERROR


def _usage(error: TyperException) -> str:
    """What is wrong with the command line, and where the right one is described."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "covey"
    return f"{_joined(error.format_message()).rstrip('.')}; see {path} --help"


def _one_line(error: Exception) -> str:
    if isinstance(error, CoveyError | ValueError):
        return _joined(str(error)) or type(error).__name__
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return place + (error.strerror or _joined(str(error))).lower()
    return f"{type(error).__name__}: {_joined(str(error))} (a fault of covey or of a plug-in; COVEY_DEBUG=1 shows where)"


def _joined(text: str) -> str:
    return " ".join(text.split())


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"covey {covey.__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _covey(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Answers from large language models, drafted by small ones: the same text, sooner."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("version")
def _version() -> None:
    """Show the version."""
    _show_version(True)


app.command("generate")(with_settings(generate.generate))
app.command("chat")(with_settings(chat.chat))
app.command("demo")(with_settings(demo.demo))
app.command("fetch")(fetch.fetch)
app.command("doctor")(with_settings(doctor.doctor, doctor.SETTINGS))
app.command("prompts")(with_settings(invent.prompts, invent.SETTINGS))
app.command("record")(with_settings(record.record, record.SETTINGS))
app.command("corpus")(corpus.corpus)
training = typer.Typer(help="Train drafters for a target.", rich_markup_mode="rich", no_args_is_help=True)
training.command("nested")(with_settings(train.nested, train.SETTINGS))
training.command("specialist")(with_settings(train.specialist, train.SPECIALIST_SETTINGS))
app.add_typer(training, name="train")
app.command("calibrate")(with_settings(calibrate.calibrate, calibrate.SETTINGS))
pictures = typer.Typer(help="Draw what a trace says.", rich_markup_mode="rich", no_args_is_help=True)
pictures.command("weights")(plot.weights)
pictures.command("reliability")(plot.reliability)
app.add_typer(pictures, name="plot")
app.command("bench")(with_settings(bench.bench, bench.SETTINGS))
app.command("costs")(with_settings(costs.costs, costs.SETTINGS))
app.command("replay")(replay.replay)
app.command("serve")(with_settings(serve.serve, all_options()))


def main() -> None:
    """The entry point of the `covey` script."""
    app()
