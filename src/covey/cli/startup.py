"""Opens a model for a command: fetches what is missing, with a bar; loads it; says how its memory is planned.

Knows neither prompts nor answers.

    with opened(settings) as llm: ...
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from covey.cli import screen
from covey.config import Settings, debug, quiet_libraries

if TYPE_CHECKING:
    from covey.llm import LLM, AsyncLLM
    from covey.types import Drafter

NO_FILES = ("toy",)  # targets that need no files


def prepare(settings: Settings, targets: Collection[str] = ()) -> None:
    """Have every named model at hand, fetched or converted with a progress bar when it is named for the first time.

    targets: all that are to be served, where they are not the settings' one.
    """
    quiet_libraries()
    if not debug():  # what the engine logs reaches the user as an error of the request
        logging.getLogger("covey").addHandler(logging.NullHandler())
        logging.getLogger("covey").propagate = False
    models = [
        *(targets or (settings.target,)),
        *(name.removeprefix("model:") for name in settings.drafters or [] if name.startswith("model:")),
    ]
    if files := [name for name in models if name not in NO_FILES]:
        from covey.model.names import resolve

        with screen.reported() as report:
            for name in files:
                resolve(name, report)


@contextmanager
def opened(settings: Settings, quiet: bool = False) -> Iterator[LLM]:
    """An LLM with these settings, closed at the end."""
    prepare(settings)
    with screen.err().status(f"loading {settings.target}; the first time its costs are measured, too ..."):
        from covey.llm import LLM

        llm = LLM(settings.target, drafters=_drafters(settings), **settings.engine.to_options())
    with llm:
        _tell(llm, quiet)
        yield llm


def open_async(settings: Settings, quiet: bool = False, targets: Mapping[str, str] | None = None) -> AsyncLLM:
    """The same for many requests at a time. To be closed within the event loop that uses it: `async with`.

    targets: several by the names that requests call them by; None for the settings' one.
    """
    targets = targets or {settings.target: settings.target}
    prepare(settings, targets.values())
    with screen.err().status(f"loading {', '.join(targets)}; the first time their costs are measured, too ..."):
        from covey.llm import AsyncLLM

        llm = AsyncLLM(targets=targets, drafters=_drafters(settings), **settings.engine.to_options())
    _tell(llm, quiet)
    return llm


def _drafters(settings: Settings) -> list[str | Drafter] | None:
    return None if settings.drafters is None else list(settings.drafters)


def _tell(llm: LLM | AsyncLLM, quiet: bool) -> None:
    if not quiet:
        screen.err().print(str(llm.memory_plan), style="dim")
