"""Draws what live.py has measured, and prints it as a table: every controller against plain decoding and against fixed lengths.

    python benchmarks/draw_live.py live-batch1.json live-batch4.json --output live.png

A row is a cell and a drafter: the dot is the median of paired ratios with its 95 % interval, hollow marks are the medians of fixed
lengths. In the table, `over the best` is the ratio to the fixed length, 0 included, that was best on the other half of the prompts. Where
several lengths were measured, it is said how much of the way from the worst of them to the best the controller goes (cells.py).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells import gap_closed
from matplotlib.figure import Figure

from covey.bench.names import parse_method

MARKS = "osD^v"  # of fixed lengths, in ascending order
COLOURS = ("C0", "C1", "C2", "C3", "C4")  # of drafters


@dataclass(frozen=True)
class Row:
    """A controller with its drafter in a cell. over_plain: median, low, high; fixed: medians over plain, by length; best: the lengths that
    were best on either half of the prompts, and over_best what the controller is over them; speeds: its own, the worst fixed length's and
    the best's, in tokens a second; see live.py."""

    batch: int
    tasks: str
    drafter: str
    over_plain: tuple[float, float, float]
    fixed: dict[int, float]
    best: list[int]
    over_best: float | None
    speeds: tuple[float, float, float] | None

    @classmethod
    def of(cls, cell: dict[str, Any], label: str) -> Row:
        name, ratio, against = parse_method(label), cell["over_plain"][label], cell["lengths"].get(label) or {}
        others = {other: parse_method(other) for other in cell["over_plain"] if not other.endswith(" again")}
        same = {other: each for other, each in others.items() if each.drafter == name.drafter and each.controller == "fixed"}
        best = [parse_method(other).length for other in against.get("best_of_halves", [])]
        return cls(
            cell["batch"],
            ", ".join(cell["tasks"]),
            str(name.drafter),
            (ratio["median"], ratio["low"], ratio["high"]),
            {each.length: cell["over_plain"][other]["median"] for other, each in sorted(same.items(), key=lambda pair: pair[1].length)},
            best,
            against["over_best"]["median"] if against else None,
            tuple(against["speeds"]) if against.get("speeds") else None,
        )


def rows(documents: list[dict[str, Any]]) -> list[Row]:
    """Every controller in every cell that is done, batch by batch."""
    cells = [cell for document in documents for cell in document["cells"] if "over_plain" in cell]
    found = [Row.of(cell, label) for cell in cells for label in cell["lengths"] if not label.endswith(" again")]
    return sorted(found, key=lambda row: row.batch)


def table(found: list[Row]) -> str:
    """As Markdown."""
    lines = ["| tasks, batch | drafter | over plain | over the best fixed length |", "|---|---|---|---|"]
    for row in found:
        median, low, high = row.over_plain
        best = "" if row.over_best is None else f"{row.over_best:.2f} (k = {', '.join(map(str, dict.fromkeys(row.best)))})"
        lines.append(f"| {row.tasks}: {row.batch} | `{row.drafter}` | {median:.3f} [{low:.3f}, {high:.3f}] | {best} |")
    return "\n".join(lines)


def gaps(found: list[Row]) -> list[str]:
    """By drafter, and of all: how much of the ways from the worst fixed length to the best is gone."""
    several = [(row.drafter, row.speeds) for row in found if row.speeds is not None]
    shares = {name: gap_closed(speeds for drafter, speeds in several if drafter == name) for name in dict.fromkeys(d for d, _ in several)}
    every = {**shares, "all": gap_closed(speeds for _, speeds in several)}
    return [f"of the gap between fixed lengths, {name}: {share:.0%}" for name, share in every.items() if share is not None]


def draw(found: list[Row], place: Path) -> None:
    """A column for each batch size, in it a row for each group of tasks and drafter."""
    batches = sorted({row.batch for row in found})
    kinds = list(dict.fromkeys((row.tasks, row.drafter) for row in found))
    drafters = list(dict.fromkeys(row.drafter for row in found))
    lengths = sorted({length for row in found for length in row.fixed})
    figure = Figure(figsize=(4.2 * len(batches) + 2.5, 0.34 * len(kinds) + 1.6), layout="constrained")
    columns = figure.subplots(1, len(batches), sharey=True, squeeze=False)[0]
    for axes, batch in zip(columns, batches, strict=True):
        axes.axvline(1.0, color="black", linewidth=0.8)
        axes.axvline(0.95, color="black", linewidth=0.6, linestyle=":")
        for row in (row for row in found if row.batch == batch):
            at, colour = kinds.index((row.tasks, row.drafter)), COLOURS[drafters.index(row.drafter) % len(COLOURS)]
            median, low, high = row.over_plain
            for length, ratio in row.fixed.items():
                axes.plot(ratio, at, MARKS[lengths.index(length) % len(MARKS)], color="grey", markerfacecolor="none", markersize=5)
            axes.errorbar(median, at, xerr=[[median - low], [high - median]], fmt="o", color=colour, markersize=5, capsize=2)
        axes.set(xlabel="speed over plain decoding", title=f"batch {batch}", ylim=(len(kinds) - 0.5, -0.5))
    columns[0].set_yticks(range(len(kinds)), [f"{tasks}  {drafter}" for tasks, drafter in kinds], fontsize=8)
    for number, length in enumerate(lengths):
        marked = {"color": "grey", "markerfacecolor": "none", "markersize": 5, "linestyle": ""}
        columns[-1].plot([], [], MARKS[number % len(MARKS)], label=f"{length} fixed", **marked)
    if lengths:
        columns[-1].legend(fontsize=8, loc="lower right")
    figure.savefig(place, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, nargs="+", help="files that live.py has written")
    parser.add_argument("--output", type=Path, required=True, help="the picture, a .png or .svg file")
    given = parser.parse_args()
    if not (found := rows([json.loads(place.read_text("utf-8")) for place in given.measured])):
        parser.error("measured: no cell in these files is done")
    print("\n".join([table(found), *gaps(found)]))
    draw(found, given.output)


if __name__ == "__main__":
    main()
