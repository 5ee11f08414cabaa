"""`covey bench`: how fast drafting is against plain decoding and against other systems; covey.bench does the work.

covey bench --prompts dev.jsonl.gz --methods plain,goodput --batch 1,8 --json out.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from covey.cli import screen, startup
from covey.cli.options import ANSWERING
from covey.config import Settings

SETTINGS = ("target", "drafters", "dtype", "device", "threads", "compile", "max_model_len")


def bench(
    prompts: Annotated[Path, typer.Option(help="The prompts: a .jsonl or .jsonl.gz file.", show_default=False)],
    methods: Annotated[str, typer.Option(help="What is measured, separated by commas; must include plain.")] = "plain,goodput",
    batch: Annotated[str, typer.Option(help="How many prompts are answered together, separated by commas.")] = "1",
    tasks: Annotated[str | None, typer.Option(help="Only prompts of these tasks, separated by commas.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(help="Most prompts per task.", show_default=False)] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.")] = 128,
    repetitions: Annotated[int, typer.Option(help="How often every prompt is measured with every method.")] = 1,
    warmup: Annotated[int, typer.Option(help="Unmeasured prompts before the first measured one, per method and batch.")] = 1,
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same texts.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result document to this file too.", show_default=False)
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the result's tables to this file.", show_default=False)] = None,
    *,
    settings: Settings,
) -> None:
    """Measure speed, acceptance and where the time goes. The last line of standard output is the result as JSON."""
    chosen: dict[str, Any] = {name: held for name, held in settings.engine.to_options().items() if name in SETTINGS}
    if unused := [f"{name} (from {origin})" for name, origin in settings.sources.items() if name in ANSWERING and name not in SETTINGS]:
        screen.err().print(f"covey bench sets these itself: {', '.join(unused)}")
    startup.prepare(settings)
    from covey.bench import BenchSettings, run

    document = run(
        BenchSettings(
            prompts=prompts,
            target=settings.target,
            drafters=None if settings.drafters is None else tuple(settings.drafters),
            methods=tuple(methods.split(",")),
            batch=batch,  # type: ignore[arg-type]  # a text is read there, and refused by name
            tasks=tasks,  # type: ignore[arg-type]
            limit=limit,
            max_tokens=max_tokens,
            repetitions=repetitions,
            warmup=warmup,
            temperature=temperature,
            seed=seed,
            json=json_file,
            markdown=markdown,
            **chosen,
        )
    )
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
