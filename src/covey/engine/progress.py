"""A progress bar over many completions, with tokens/s and acceptance. Draws what the engine's events say.

with Progress(total=10, show=True) as bar: ...    # bar.listen is a generation's listener
"""

from __future__ import annotations

from rich import progress
from rich.console import Console

from covey.engine.generation import Event
from covey.engine.statistics import Statistics


class Progress:
    """A bar on stderr, or nothing."""

    def __init__(self, total: int, show: bool) -> None:
        self._statistics = Statistics()
        self._bar: progress.Progress | None = None
        if show:
            columns = (
                progress.TextColumn("generating"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("{task.fields[figures]}"),
            )
            self._bar = progress.Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=total, figures="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def listen(self, event: Event) -> None:
        """Count an event and redraw."""
        if self._bar is None:
            return
        if event.round is not None:
            self._statistics.add(event.round)
        elapsed = self._bar.tasks[0].elapsed or 0.0
        rate = self._statistics.num_tokens / elapsed if elapsed else 0.0
        figures = f"{rate:.1f} tokens/s, {self._statistics.acceptance_rate:.0%} of drafted tokens accepted"
        self._bar.update(self._task, advance=int(event.finish_reason is not None), figures=figures)
