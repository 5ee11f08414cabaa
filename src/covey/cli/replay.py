"""`covey replay`: fixed draft lengths and controllers compared on a recorded trace, with no model; covey.replay does the work.

covey generate --input prompts.jsonl --output answers.jsonl --controller watch --trace trace.jsonl
covey costs --output costs.json
covey replay --trace trace.jsonl --costs costs.json --batch 1,4
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from covey.cli import screen
from covey.config.catalogue import CONTROLLERS
from covey.errors import CoveyError

if TYPE_CHECKING:
    from covey.replay import Replayed

_COMPARED = tuple(name for name in CONTROLLERS if name not in ("fixed", "watch"))


def replay(
    trace: Annotated[Path, typer.Option(help="A file that --trace has written under --controller watch.", show_default=False)],
    costs: Annotated[Path, typer.Option(help="A file that covey costs --output has written.", show_default=False)],
    controllers: Annotated[str, typer.Option(help="Controllers, separated by commas.")] = ",".join(_COMPARED),
    lengths: Annotated[str, typer.Option(help="Fixed lengths, separated by commas; 0 is always among them.")] = "0,1,2,4,8",
    batch: Annotated[str, typer.Option(help="How many texts are written together, separated by commas.")] = "1,4",
    jitter: Annotated[float, typer.Option(help="How uneven the clock is: the deviation of the logarithm of every time.")] = 0.0,
    min_survival: Annotated[
        float, typer.Option(help="Where drafters end drafts by themselves at fixed lengths; 0.15 for suffix and for collectives.")
    ] = 0.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.", show_default=False)] = None,
) -> None:
    """Compute what fixed draft lengths and controllers would have come to, from a trace and measured costs."""
    from covey import provenance
    from covey.prompts import file_digest
    from covey.replay import compare, read_costs, read_trace

    names = _names(controllers)
    fixed = sorted({0, *_numbers("lengths", lengths, 0, 64)})
    batches = _numbers("batch", batch, 1, 4096)
    _within("jitter", jitter, 2)
    _within("min_survival", min_survival, 1)
    texts, known = read_trace(trace), read_costs(costs)
    if not any(text.drafts for text in texts):
        raise CoveyError(f"trace={str(trace)!r}: no drafts in it; record with --controller watch, and drafters")
    cells = []
    for each in batches:
        cells.append(_cell(each, *compare(texts, known, each, fixed, names, jitter=jitter, min_survival=min_survival)))
        screen.out().print(_table(cells[-1]))
    if json_file is not None:
        head = {
            **provenance.about(),
            "trace_sha256": file_digest(trace),
            "texts": len(texts),
            "jitter": jitter,
            "min_survival": min_survival,
        }
        document = {**head, "costs": json.loads(costs.read_text("utf-8")), "cells": cells}
        json_file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _cell(batch: int, fixed: dict[int, Replayed], chosen: dict[str, Replayed]) -> dict[str, Any]:
    """One batch size: speeds and what they are of plain decoding's and of the best fixed length's."""
    plain = fixed[0].tokens_per_second
    best = max(fixed, key=lambda length: fixed[length].tokens_per_second)

    def figures(run: Replayed) -> dict[str, float]:
        speed = run.tokens_per_second
        over = {"over_plain": speed / plain, "over_best_fixed": speed / fixed[best].tokens_per_second}
        return {"tokens_per_second": speed, **over, "tokens_per_round": run.tokens_per_round}

    return {
        "batch": batch,
        "best_length": best,
        "fixed": {str(length): figures(run) for length, run in fixed.items()},
        "controllers": {name: figures(run) for name, run in chosen.items()},
    }


def _table(cell: dict[str, Any]) -> Table:
    table = Table(title=f"batch {cell['batch']}", title_justify="left")
    table.add_column("length")
    for name in ("tokens/s", "over 0", "over the best", "tokens a round"):
        table.add_column(name, justify="right")
    for name, held in {**{f"{length}": f for length, f in cell["fixed"].items()}, **cell["controllers"]}.items():
        shown = [f"{held['tokens_per_second']:.1f}", *(f"{held[n]:.3f}" for n in ("over_plain", "over_best_fixed"))]
        marked = f"{name} (best)" if name == str(cell["best_length"]) else name
        table.add_row(marked, *shown, f"{held['tokens_per_round']:.2f}")
    return table


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in _COMPARED:
            raise CoveyError(f"controllers={name!r}: there is no such controller to compare; name some of {', '.join(_COMPARED)}")
    return names


def _numbers(field: str, text: str, low: int, high: int) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [low - 1]
    if not all(low <= number <= high for number in numbers):
        raise CoveyError(f"{field}={text!r}: {field} must be whole numbers from {low} to {high}, separated by commas")
    return numbers


def _within(field: str, value: float, high: float) -> None:
    if not 0 <= value <= high:
        raise CoveyError(f"{field}={value}: {field} must be a number from 0 to {high:g}")
