"""`covey record`: a target's answers to a file of prompts, as drafters are made from; covey.train does the work.

covey record --prompts train.jsonl.gz --output recorded --apart-from dev.jsonl.gz
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli import screen, startup
from covey.cli.options import sharing
from covey.cli.questions import Questions
from covey.config import Settings, all_options

_OWN = ("collective_state", "trace")  # nothing is served
SETTINGS = tuple(option.name for option in all_options().values() if option.group in ("model", "engine") and option.name not in _OWN)


@sharing("questions", Questions)
def record(
    output: Annotated[Path, typer.Option(help="The folder of the recording; one that was cut is gone on with.", show_default=False)],
    apart_from: Annotated[
        Path | None, typer.Option(help="Leave out prompts that share 13 words in a row with one of this file.", show_default=False)
    ] = None,
    leave_out: Annotated[
        str, typer.Option(help="Leave out prompts of these sources: patterns, separated by commas.", show_default=False)
    ] = "",
    text: Annotated[str, typer.Option(help="Record the target's answers, the file's references, or the prompts themselves.")] = "answers",
    answers: Annotated[
        str | None,
        typer.Option(
            help="Take the answers that a corpus of these prompts keeps, a file or the name of a target, and write none.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Keep so many of the likeliest tokens at each position of an answer, to distil from.")] = 0,
    hidden: Annotated[bool, typer.Option("--hidden", help="Keep the target's hidden states, to train a self draft on.")] = False,
    shard: Annotated[int, typer.Option(help="Prompts that are answered and written together: what an interruption can lose.")] = 128,
    skip_bad_lines: Annotated[bool, typer.Option(help="Name bad lines and go on, instead of refusing the file.")] = False,
    *,
    questions: Questions,
    settings: Settings,
) -> None:
    """Record what the target itself answers: the text that its drafters are made from."""
    from covey.drafters.shipped import shipped_corpus
    from covey.train.record import RecordSettings, record

    asked = vars(questions) | {"tasks": tuple(questions.tasks.split(",")) if questions.tasks else None}
    chosen = RecordSettings(
        folder=output,
        target=settings.target,
        apart_from=apart_from,
        leave_out=tuple(filter(None, leave_out.split(","))),
        text=text,
        answers=None if answers is None else shipped_corpus(answers) or Path(answers),
        top=top,
        hidden=hidden,
        shard=shard,
        **asked,
    )
    with startup.opened(settings) as llm, screen.reported() as report:
        recording = record(llm, chosen, report, screen.err().print if skip_bad_lines else None)
    lengths = [len(text.answer) for text in recording.texts()]
    left_out = {**recording.description["left_out"], "too long for the target": recording.description["num_prompts"] - len(lengths)}
    for reason, count in left_out.items():
        if count:
            screen.err().print(f"{count} prompts left out: {reason}")
    screen.out().print(f"{recording.folder}: {len(lengths)} answers, {sum(lengths)} tokens")
