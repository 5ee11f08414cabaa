"""`covey corpus`: what a target wrote, as a file that the suffix drafter reads; covey.train does the work.

covey corpus --recording recorded --output corpus.safetensors
covey generate "..." --drafters suffix:corpus.safetensors
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli import screen


def corpus(
    recording: Annotated[Path, typer.Option(help="A folder that covey record has written.", show_default=False)],
    output: Annotated[Path, typer.Option(help="The file; then --drafters suffix:FILE reads it.", show_default=False)],
    max_tokens: Annotated[
        int | None, typer.Option(help="Only the first answers, of so many tokens together.", min=1, show_default=False)
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Only answers to prompts of these tasks, separated by commas: a corpus for one kind of work.", show_default=False
        ),
    ] = None,
) -> None:
    """Make a recording's answers a corpus for the suffix drafter."""
    from covey.train.corpus import build_corpus
    from covey.train.recording import Recording

    with screen.err().status("building ..."):
        built = build_corpus(Recording(recording), max_tokens, tuple(tasks.split(",")) if tasks else None)
        built.save(output)
    screen.out().print(f"{output}: {len(built):,} tokens, {output.stat().st_size / (1 << 20):.1f} MiB")
