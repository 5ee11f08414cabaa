"""A progress bar on stderr for a run that takes minutes to hours, with what is being measured and how fast it was.

Knows nothing of what makes the measurements.

    with BenchProgress(total=120, show=True) as bar: Measuring(...).run(bar)
"""

from __future__ import annotations

from rich import progress
from rich.console import Console

from covey.bench.measurement import Measurement


class BenchProgress:
    """A bar, or nothing."""

    def __init__(self, total: int, show: bool) -> None:
        columns = (
            progress.TextColumn("measuring"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[now]}", markup=False),
        )
        self._bar = progress.Progress(*columns, console=Console(stderr=True), disable=not show)
        self._task = self._bar.add_task("", total=total, now="")

    def __enter__(self) -> BenchProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def warming(self, method: str) -> None:
        """A method runs unmeasured for the first time."""
        self._bar.update(self._task, now=f"warming up {method}")

    def measured(self, measurement: Measurement, fresh: bool) -> None:
        """One more measurement is there; fresh is False for one from the journal."""
        rate = measurement.tokens_per_second
        now = f"{measurement.method} on {measurement.unit.group}: {rate or 0:.1f} tokens/s" if fresh else "taken from the journal"
        self._bar.update(self._task, advance=1, now=now)
