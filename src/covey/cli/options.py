"""Turns settings into command-line options, so that a default, a range and a line of help are written once.

app.command("chat")(with_settings(chat))        # chat(settings=Settings(...), ...)

Options that a few commands share, and that are no settings, are the fields of one class: see `sharing`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from covey.config import Option, all_options, load_settings

PANELS = {"model": "Model", "engine": "Engine", "sampling": "Sampling", "server": "Server"}
ANSWERING = tuple(option.name for option in all_options().values() if option.group != "server")  # what generate, chat and demo take
_SHORT = {"target": "-t", "drafters": "-d", "n": "-n"}
_METAVARS = {
    "int": "INT",
    "float": "NUMBER",
    "str": "NAME",
    "path": "FILE",
    "names": "NAMES",
    "strings": "TEXT",
    "ints": "IDS",
    "pairs": "PAIRS",
    "grammar": "KIND",
}


def with_settings(command: Callable[..., None], names: Collection[str] | None = None) -> Callable[..., None]:
    """The command with an option for every setting but the server's, or for those named, and --config. It gets them as `settings`.

    Options have no defaults of their own here: what is not given comes from the environment, covey.toml or covey.config.
    """
    wanted = ANSWERING if names is None else names
    options = [option for option in all_options().values() if option.name in wanted]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        chosen = {option.name: given.pop(option.name) or None for option in options if option.kind != "bool"}
        chosen |= {option.name: given.pop(option.name) for option in options if option.kind == "bool"}
        command(settings=load_settings(chosen, given.pop("config")), **given)

    own = inspect.signature(command, eval_str=True).parameters
    parameters = [p for name, p in own.items() if name != "settings"]
    parameters += [_parameter(option) for option in options]
    parameters.append(
        inspect.Parameter(
            "config",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Path | None, typer.Option(help="Read settings from this file instead of covey.toml.", show_default=False)],
        )
    )
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def sharing(name: str, shared: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the command has an option for every field of the dataclass `shared`, too, and gets one under this name."""
    fields = inspect.signature(shared, eval_str=True).parameters

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            made = shared(**{field: given.pop(field) for field in fields})
            command(**given, **{name: made})

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != name]
        together = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *fields.values())]
        together.sort(key=lambda p: p.default is not p.empty)  # what must be given comes first
        run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(option: Option) -> inspect.Parameter:
    """How typer is told of an option. Texts are read by covey.config, which does the same for the environment."""
    flags = [f"{option.flag}/--no-{option.flag[2:]}" if option.kind == "bool" else option.flag]
    flags += [_SHORT[option.name]] if option.name in _SHORT else []
    kind: Any = {"bool": bool | None, "strings": list[str] | None}.get(option.kind, str | None)
    told = typer.Option(
        *flags,
        help=help_text(option),
        metavar=None if option.kind == "bool" else _METAVARS[option.kind],
        rich_help_panel=PANELS[option.group],
        show_default=False,
    )
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, told])


def help_text(option: Option) -> str:
    """One sentence, with the default where there is one to speak of."""
    sentence = option.help[:1].upper() + option.help[1:]
    shown = option.default not in (None, "", (), {}) and option.default is not False
    return f"{sentence} (default {option.default})." if shown else f"{sentence}."
