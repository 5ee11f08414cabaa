"""Shows a result to people: tables on a terminal, or the same tables as Markdown.

Reads nothing but the result document, and computes nothing.

    draw(document, Console(stderr=True)); to_markdown(document)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from covey.bench.summary import ALL
from covey.loops import MAX_PERIOD, MIN_LENGTH, MIN_TIMES

Row = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table of texts; the first columns, `labels` of them, are names and the others figures."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    labels: int = 1


def draw(document: dict[str, Any], console: Console) -> None:
    """Tables and what to know about them."""
    for grid in grids(document):
        table = Table(title=grid.title, title_justify="left")
        for i, header in enumerate(grid.headers):
            table.add_column(header, justify="left" if i < grid.labels else "right", no_wrap=i < grid.labels)
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
    for note in notes(document):
        console.print(note, markup=False, highlight=False)


def to_markdown(document: dict[str, Any]) -> str:
    """The same as text."""
    parts = ["# covey bench", "", f"`{document['command']}`", "", *(f"- {fact}" for fact in facts(document)), ""]
    for grid in grids(document):
        parts += [f"## {grid.title}", "", _line(grid.headers), _line(["---"] * grid.labels + ["---:"] * (len(grid.headers) - grid.labels))]
        parts += [*map(_line, grid.rows), ""]
    return "\n".join([*parts, *(f"- {note}" for note in notes(document)), ""])


def _line(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def facts(document: dict[str, Any]) -> list[str]:
    """What the figures were measured with."""
    machine, versions, settings = document["machine"], document["versions"], document["settings"]
    parts = [f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['memory_gib']} GiB", *machine["gpus"]]
    return [
        "; ".join(parts),
        ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        f"commit {document['commit'] or 'unknown'}; begun {document['began']}, {document['seconds']:.0f} s",
        f"target {settings['target']}, {document['dtype']}, {document['torch_threads']} threads of torch; at most {settings['max_tokens']} "
        f"tokens an answer, temperature {settings['temperature']:g}, repetitions {settings['repetitions']}",
    ]


def grids(document: dict[str, Any]) -> Iterator[Grid]:
    """For each batch size: all tasks together, then by task."""
    summary = document["summary"]
    for batch in dict.fromkeys(row["batch"] for row in summary):
        rows = [row for row in summary if row["batch"] == batch]
        yield _speed_grid(batch, [row for row in rows if row["task"] == ALL])
        yield _speculation_grid(batch, [row for row in rows if row["task"] == ALL])
        yield _task_grid(batch, rows)


def _speed_grid(batch: int, rows: list[Row]) -> Grid:
    over_transformers = any("transformers" in row["speedups"] for row in rows)
    headers = ["method", "tokens/s", "decode tokens/s", "speedup over plain", "by repetition", "decode", "decode, no loops"]
    headers += ["over transformers"] if over_transformers else []
    return Grid(f"Batch {batch}, all tasks: speed", tuple(headers), [_speed_row(row, over_transformers) for row in rows])


def _speed_row(row: Row, over_transformers: bool) -> tuple[str, ...]:
    over_plain = row["speedups"].get("plain", {})
    cells = [row["method"], _number(row["tokens_per_second"], 1), _number(row["decode_tokens_per_second"], 1)]
    cells += [_ratio(over_plain.get("end_to_end")), _spread(over_plain.get("end_to_end"))]
    cells += [_ratio(over_plain.get(name)) for name in ("decode", "decode_without_loops")]
    cells += [_ratio(row["speedups"].get("transformers", {}).get("end_to_end"))] if over_transformers else []
    return tuple(cells)


def _speculation_grid(batch: int, rows: list[Row]) -> Grid:
    headers = (
        "method",
        "acceptance",
        "mean accepted length",
        "without loops",
        "tokens/pass",
        "draft/verify/other %",
        "texts that differ",
        "first differences/1,000",
    )
    return Grid(f"Batch {batch}, all tasks: speculation", headers, [_speculation_row(row) for row in rows])


def _speculation_row(row: Row) -> tuple[str, ...]:
    shares, texts, free = row["time_shares"] or {}, row["texts_against_plain"], row["without_loops"] or {}
    return (
        row["method"],
        _percent(row["acceptance_rate"]),
        _number(row["mean_accepted_length"], 2),
        _number(free.get("mean_accepted_length"), 2),
        _number(row["tokens_per_pass"], 2),
        "/".join(f"{100 * share:.0f}" for share in shares.values()) or "-",
        f"{texts['differing_prompts']} of {texts['prompts']}" if texts else "-",
        _number(texts["first_differences_per_1000_tokens"], 2) if texts else "-",
    )


def _task_grid(batch: int, rows: list[Row]) -> Grid:
    headers = (
        "task",
        "method",
        "tokens/s",
        "speedup over plain",
        "decode",
        "decode, no loops",
        "acceptance",
        "mean accepted length",
        "tokens/pass",
    )
    tasks = [task for task in dict.fromkeys(row["task"] for row in rows) if task != ALL]
    return Grid(f"Batch {batch}, by task", headers, [_task_row(row) for task in tasks for row in rows if row["task"] == task], labels=2)


def _task_row(row: Row) -> tuple[str, ...]:
    over_plain = row["speedups"].get("plain", {})
    return (
        row["task"],
        row["method"],
        _number(row["tokens_per_second"], 1),
        *(_ratio(over_plain.get(name)) for name in ("end_to_end", "decode", "decode_without_loops")),
        _percent(row["acceptance_rate"]),
        _number(row["mean_accepted_length"], 2),
        _number(row["tokens_per_pass"], 2),
    )


def notes(document: dict[str, Any]) -> list[str]:
    """What a reader of the tables must know."""
    said = [
        "Speedups are medians of ratios of paired measurements, with a 95 % bootstrap interval over prompt groups; "
        "decode figures leave out the reading of prompts.",
        "Mean accepted length: 1 + accepted tokens / passes with a draft. Tokens/pass: tokens / all passes of the target that gave any.",
        f"Loops: at least {MIN_LENGTH} tokens that repeat one n-gram of at most {MAX_PERIOD} tokens {MIN_TIMES} times or more; "
        "figures without loops end, for each text, where its loop begins, and are estimates from the times of single passes.",
    ]
    for name, details in document["methods"].items():
        said += [f"{name}: {details['system']}; {details['weights']}; {details['batch']}"] if details["system"] != "covey" else []
    for row in document["plain_across_batches"]:
        rate = _number(row["first_differences_per_1000_tokens"], 2)
        said.append(f"Plain at batch {row['batch']} against batch {row['against_batch']}: {rate} first differences per 1,000 tokens.")
    if left := document["prompts"]["left_out"]:
        said.append(f"Left out as too long for the target: {len(left)} prompts ({left[0]['id']} has {left[0]['tokens']} tokens).")
    for batch, count in document["prompts"]["not_in_a_full_group"].items():
        said += [f"Left out at batch {batch}, which fills groups of one task: {count} prompts."] if count else []
    return said


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _spread(found: dict[str, Any] | None) -> str:
    """The least and the greatest median of a repetition."""
    if found is None or len(found["by_repetition"]) < 2:
        return "-"
    return f"{min(found['by_repetition']):.2f} to {max(found['by_repetition']):.2f}"


def _ratio(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    interval = "" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]"
    return f"{found['median']:.2f}{interval}"
