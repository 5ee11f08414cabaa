"""`covey chat`: a conversation, with what was drafted and accepted in colour if wanted.

covey chat --show-drafts
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from covey.cli import screen, startup, streaming
from covey.cli.paint import painter_for
from covey.config import Settings
from covey.errors import CoveyError
from covey.types import Message

_HELP = "/clear forgets the conversation, /exit or Ctrl-D ends it"


def chat(
    show_drafts: Annotated[bool, typer.Option("--show-drafts", help="Show which tokens were drafted, accepted and rejected.")] = False,
    system: Annotated[str | None, typer.Option(help="A system message to begin with.", show_default=False)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the answers.")] = False,
    *,
    settings: Settings,
) -> None:
    """Talk with a model."""
    console, notes = screen.out(), screen.err()
    beginning: list[Message] = [{"role": "system", "content": system}] if system is not None else []
    with startup.opened(settings, quiet) as llm:
        if not getattr(llm.tokenizer, "has_chat_template", False):
            raise CoveyError(f"target={settings.target!r}: it has no chat template; use covey generate, or name a chat model")
        if not quiet:
            notes.print(f"{settings.target}: {_HELP}")
            if show_drafts:
                notes.print(painter_for(console, streaming.members_of(llm)).legend)
        messages = list(beginning)
        for line in _lines():
            if line == "/exit":
                return
            if line.startswith("/"):
                messages = list(beginning) if line == "/clear" else messages
                notes.print("forgotten" if line == "/clear" else f"unknown command {line!r}: {_HELP}")
                continue
            asked: list[Message] = [*messages, {"role": "user", "content": line}]
            try:
                statistics, text = streaming.show(llm, asked, settings.sampling, console, show_drafts)
            except CoveyError as error:  # such as a conversation that has grown too long
                notes.print(f"covey: error: {error} ({_HELP})")
                continue
            messages = [*asked, {"role": "assistant", "content": text}]
            if not quiet:
                notes.print(screen.figures(statistics), style="dim")


def _lines() -> Iterator[str]:
    """What the person says, line by line, until the end of the input. Empty lines say nothing."""
    interactive = sys.stdin.isatty()
    if interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - lets input() edit lines and remember them
    while True:
        try:
            line = input("> " if interactive else "").strip()
        except EOFError:
            return
        if line:
            yield line
