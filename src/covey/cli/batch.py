"""A file of prompts into a file of answers: many at a time, written as they finish, taken up again after a stop.

covey generate --input prompts.jsonl --output answers.jsonl
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from covey.cli import screen, startup
from covey.cli.jsonl import Answers, BadLine, Request, read_requests
from covey.config import ConfigError, Settings
from covey.errors import CoveyError
from covey.types import Message, Prompt, Round

if TYPE_CHECKING:
    from covey.llm import AsyncLLM

_SHOWN_LINES = 10
_REDRAW_SECONDS = 0.2


def run(source: Path, destination: Path, settings: Settings, *, strict: bool, raw: bool, quiet: bool) -> None:
    """Answer what is not yet answered. Bad lines are named on stderr; at the end they are an error, with strict at once."""
    if destination.exists() and source.exists() and destination.samefile(source):
        raise ConfigError(f"output={str(destination)!r}: it is the input file too; name another")
    requests, bad = read_requests(source, settings.sampling)
    console = screen.err()
    for line in bad:
        if strict:
            raise CoveyError(f"{source}, {line}")
        console.print(f"{source}, {line}")
    with Answers(destination, requests) as answers:
        waiting = [request for request in requests if request.id not in answers.done]
        skipped = len(requests) - len(waiting)
        if waiting:
            llm = startup.open_async(settings, quiet)
            bad += asyncio.run(_Run(source, llm, answers, settings, strict, raw, quiet).all(waiting))
    if not quiet:
        answered = len(answers.done & {request.id for request in waiting})
        console.print(f"{destination}: {answered} prompts answered" + (f", {skipped} were already" if skipped else ""))
    if bad:
        numbers = ", ".join(str(line.line) for line in sorted(bad, key=lambda b: b.line)[:_SHOWN_LINES])
        more = " and others" if len(bad) > _SHOWN_LINES else ""
        raise CoveyError(f"{source}: {len(bad)} lines have no answer: {numbers}{more}; mend them and run the same command again")


class _Run:
    """The requests of one run, on their way."""

    def __init__(self, source: Path, llm: AsyncLLM, answers: Answers, settings: Settings, strict: bool, raw: bool, quiet: bool) -> None:
        from covey.engine.statistics import Statistics

        self._source, self._llm, self._answers, self._strict = source, llm, answers, strict
        self._workers = 2 * settings.engine.max_num_seqs  # enough for the engine never to wait for us
        self._chat = not raw and bool(getattr(llm.tokenizer, "has_chat_template", False))
        self._bad: list[BadLine] = []
        self._statistics = Statistics()
        self._drawn = 0.0
        columns = (TextColumn("generating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[figures]}"))
        console = screen.err()
        self._bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("", total=None, figures="")

    async def all(self, requests: list[Request]) -> list[BadLine]:
        """Answer them all; returns those that could not be. With strict the first such raises CoveyError."""
        self._bar.update(self._task, total=len(requests))
        self._llm.observe(self._count)
        todo = iter(requests)
        try:
            with self._bar:
                async with self._llm, asyncio.TaskGroup() as group:
                    for _ in range(min(self._workers, len(requests))):
                        group.create_task(self._work(todo))
        except ExceptionGroup as group:  # not except*: what that raises is a group again in some versions of Python
            known = group.subgroup((CoveyError, OSError))
            raise (known.exceptions[0] if known else group) from None
        return self._bad

    def _count(self, happened: Round) -> None:
        """Hear of a round, in the engine's thread."""
        self._statistics.add(happened)
        if (now := time.monotonic()) - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._bar.update(self._task, figures=self._figures())

    async def _work(self, todo: Iterator[Request]) -> None:
        for request in todo:
            try:
                completions = await self._llm.generate(self._prompt(request), request.params)
                if failed := [c.error for c in completions if c.error is not None]:
                    raise CoveyError(failed[0])
                self._answers.write(request, completions)
            except (CoveyError, ValueError) as error:
                self._report(BadLine(request.line, str(error)))
            self._bar.update(self._task, advance=1, figures=self._figures())

    def _report(self, line: BadLine) -> None:
        if self._strict:
            raise CoveyError(f"{self._source}, {line}")
        self._bad.append(line)
        self._bar.console.print(f"{self._source}, {line}")

    def _prompt(self, request: Request) -> Prompt:
        if isinstance(request.prompt, str) and self._chat:
            message: Message = {"role": "user", "content": request.prompt}
            return [message]
        return request.prompt

    def _figures(self) -> str:
        elapsed = self._bar.tasks[0].elapsed or 0.0
        rate = self._statistics.num_tokens / elapsed if elapsed else 0.0
        return f"{rate:.1f} tokens/s, {self._statistics.acceptance_rate:.0%} of drafted tokens accepted"
