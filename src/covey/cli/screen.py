"""What covey shows on a terminal, apart from drafts: consoles, figures in one line, progress.

Knows statistics and text; knows nothing of models.

    err().print(figures(statistics))
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from covey.engine.statistics import Statistics
    from covey.model.atomic import Report

# A model may write anything; escape sequences must not reach the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def out() -> Console:
    """Answers go to stdout. Made anew each time, for stdout may have been redirected."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def err() -> Console:
    """All else goes to stderr, so that stdout can be piped."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def harmless(text: str) -> str:
    """Text without control characters other than line ends and tabs."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))


def figures(statistics: Statistics) -> str:
    """One line: tokens, rounds, acceptance, mean accepted length with its divisor, speed, and the members of a collective."""
    s = statistics
    parts = [f"{s.num_tokens} tokens in {s.num_rounds} rounds"]
    if s.first_token_seconds is not None:
        kept = f" ({s.num_cached_tokens} tokens of the prompt were read before)" if s.num_cached_tokens else ""
        parts.append(f"the first after {s.first_token_seconds:.2f} s{kept}")
    if s.num_drafts:
        parts.append(f"{s.num_accepted_tokens} of {s.num_draft_tokens} drafted tokens accepted ({s.acceptance_rate:.0%})")
        parts.append(f"mean accepted length {s.mean_accepted_length:.2f} per round with a draft")
    else:
        parts.append("nothing drafted")
    parts.append(f"{s.tokens_per_second:.1f} tokens/s")
    members = [
        f"{name} was asked {s.asked.get(name, 0)} times and for {s.votes.get(name, 0)} of the accepted, lately right {rate:.0%}"
        for name, rate in s.records.items()
    ]
    return "; ".join([", ".join(parts), *members])


@contextmanager
def reported() -> Iterator[Report]:
    """What is reported of slow steps, such as a download: bars on a terminal, which go away, and elsewhere a line each."""
    console = err()
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(step: str, fraction: float | None) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=None)
            bar.update(tasks[step], total=None if fraction is None else 1.0, completed=fraction or 0.0)

        yield report


def _lines(console: Console) -> Report:
    said: set[str] = set()

    def report(step: str, fraction: float | None) -> None:
        if step not in said:
            said.add(step)
            console.print(f"{step} ...")

    return report
