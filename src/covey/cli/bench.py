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
from covey.cli.options import ANSWERING, sharing
from covey.cli.questions import Questions
from covey.config import Settings, quiet_libraries

SETTINGS = ("target", "drafters", "dtype", "device", "threads", "compile", "max_model_len")


@sharing("questions", Questions)
def bench(
    methods: Annotated[str, typer.Option(help="What is measured, separated by commas; must include plain.")] = "plain,goodput",
    batch: Annotated[str, typer.Option(help="How many prompts are answered together, separated by commas.")] = "1",
    repetitions: Annotated[int, typer.Option(help="How often every prompt is measured with every method.")] = 1,
    warmup: Annotated[int, typer.Option(help="Unmeasured prompts before the first measured one, per method and batch.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result document to this file too.", show_default=False)
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the result's tables to this file.", show_default=False)] = None,
    *,
    questions: Questions,
    settings: Settings,
) -> None:
    """Measure speed, acceptance and where the time goes. The last line of standard output is the result as JSON."""
    chosen: dict[str, Any] = {name: held for name, held in settings.engine.to_options().items() if name in SETTINGS}
    if unused := [f"{name} (from {origin})" for name, origin in settings.sources.items() if name in ANSWERING and name not in SETTINGS]:
        screen.err().print(f"covey bench sets these itself: {', '.join(unused)}")
    quiet_libraries()
    from covey.bench import BenchSettings, run

    wanted = BenchSettings(
        target=settings.target,
        drafters=None if settings.drafters is None else tuple(settings.drafters),
        methods=tuple(methods.split(",")),
        batch=batch,  # type: ignore[arg-type]  # a text is read there, and refused by name
        repetitions=repetitions,
        warmup=warmup,
        json=json_file,
        markdown=markdown,
        **vars(questions),  # the tasks, too, are read there
        **chosen,
    )
    startup.prepare(settings)  # what cannot be is refused before anything is fetched
    document = run(wanted)
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
