"""`covey prompts`: prompts that a target writes itself, for `covey record` to have answered; covey.train does the work.

covey prompts --count 4000 --output own.jsonl
covey record --prompts own.jsonl --output recorded
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli import record, screen, startup
from covey.config import Settings

SETTINGS = record.SETTINGS


def prompts(
    output: Annotated[Path, typer.Option(help="The .jsonl file; one that was cut is gone on with.", show_default=False)],
    count: Annotated[int, typer.Option(help="How many are tried; some are left out.", show_default=False)],
    beginnings: Annotated[
        Path | None,
        typer.Option(help='How prompts begin, by kind of work: lines like {"task": "code", "beginning": "Write a"}.', show_default=False),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a prompt; longer ones are left out.")] = 160,
    temperature: Annotated[float, typer.Option(help="Above 0; higher is more varied.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Sample among the likeliest tokens of this share.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Another seed writes other prompts.")] = 0,
    shard: Annotated[int, typer.Option(help="Prompts that are written together: what an interruption can lose.")] = 256,
    *,
    settings: Settings,
) -> None:
    """Let the target write prompts itself, where there are none to record."""
    from covey.train.invent import InventSettings, invent

    chosen = InventSettings(output, count, beginnings, max_tokens, temperature, top_p, seed, shard)
    with startup.opened(settings) as llm, screen.reported() as report:
        written = invent(llm, chosen, report)
    by_task = ", ".join(f"{task} {sum(p.task == task for p in written)}" for task in dict.fromkeys(p.task for p in written))
    screen.out().print(f"{output}: {len(written)} prompts ({by_task})")
