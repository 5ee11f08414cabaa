"""The options of commands that have a file of prompts answered: which of them, and how.

@sharing("questions", Questions)
def record(*, questions: Questions, settings: Settings) -> None: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Named as RecordSettings and BenchSettings name them."""

    prompts: Annotated[Path, typer.Option(help="The prompts: a .jsonl or .jsonl.gz file.", show_default=False)]
    tasks: Annotated[str | None, typer.Option(help="Only prompts of these tasks, separated by commas.", show_default=False)] = None
    limit: Annotated[int | None, typer.Option(help="Most prompts per task.", show_default=False)] = None
    max_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.")] = 128
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.")] = 0.0
    seed: Annotated[int, typer.Option(help="The same seed gives the same texts.")] = 0
