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
    recording: Annotated[
        list[Path], typer.Option(help="A folder that covey record has written; give several for more.", show_default=False)
    ],
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
    start: Annotated[
        str | None, typer.Option(help="A corpus whose texts come first, a file or the name of a target.", show_default=False)
    ] = None,
) -> None:
    """Make the answers of recordings a corpus for the suffix drafter."""
    from covey.drafters.corpus import Corpus
    from covey.drafters.shipped import shipped_corpus
    from covey.train.corpus import build_corpus
    from covey.train.recording import Recording

    with screen.err().status("building ..."):
        begun = Corpus.load(shipped_corpus(start) or Path(start)) if start else None
        chosen = tuple(tasks.split(",")) if tasks else None
        built = build_corpus([Recording(folder) for folder in recording], max_tokens, chosen, begun)
        built.save(output)
    screen.out().print(f"{output}: {len(built):,} tokens, {output.stat().st_size / (1 << 20):.1f} MiB")
