"""Tables for people."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from covey.bench import BenchSettings, draw, run, to_markdown
from tests.bench.samples import line, write


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    lines = [line(f"{task}{i}", task, f"birds over {i}") for task in ("qa", "co|de") for i in range(5)]
    path = write(tmp_path_factory.mktemp("report") / "p.jsonl", lines)
    return run(BenchSettings(prompts=path, target="toy", methods=("plain", "fixed-4"), batch=(1, 2), max_tokens=64), progress=False)


def tables(markdown: str) -> list[list[list[str]]]:
    """The cells of each table."""
    blocks = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    return [[[cell.strip() for cell in row.replace("\\|", "/").strip("|").split("|")] for row in block] for block in blocks]


def test_markdown_has_a_full_table_for_each_batch_and_view(document: dict[str, Any]) -> None:
    found = tables(to_markdown(document))
    assert len(found) == 2 * 3
    for table in found:
        assert len({len(row) for row in table}) == 1
    assert [(row[0], row[1]) for row in found[2][2:]] == [(task, method) for task in ("qa", "co/de") for method in ("plain", "fixed-4")]
    assert [row[0] for row in found[0][2:]] == ["plain", "fixed-4"]


def test_figures_are_those_of_the_document(document: dict[str, Any]) -> None:
    by_method = {row[0]: row for row in tables(to_markdown(document))[0][2:]}
    summary = {row["method"]: row for row in document["summary"] if (row["batch"], row["task"]) == (1, "all")}
    assert by_method["plain"][1] == f"{summary['plain']['tokens_per_second']:.1f}"
    found = summary["fixed-4"]["speedups"]["plain"]["end_to_end"]
    assert by_method["fixed-4"][3] == f"{found['median']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def test_the_spread_is_that_of_the_repetitions(document: dict[str, Any]) -> None:
    spread = {"median": 1.5, "low": 1.1, "high": 1.9, "by_repetition": [1.6, 1.45, 1.5], "groups": 5, "pairs": 15}
    over_plain = dict.fromkeys(("end_to_end", "decode", "decode_without_loops"), spread)
    rows = [{**row, "speedups": {"plain": over_plain} if row["speedups"] else {}} for row in document["summary"]]
    assert tables(to_markdown({**document, "summary": rows}))[0][3][4] == "1.45 to 1.60"


def test_prompts_left_out_are_told(document: dict[str, Any]) -> None:
    assert "Left out at batch 2, which fills groups of one task: 2 prompts." in to_markdown(document)


def test_gaps_are_dashes(document: dict[str, Any]) -> None:
    bare = [{**row, "time_shares": None, "texts_against_plain": None, "without_loops": None} for row in document["summary"]]
    for row in tables(to_markdown({**document, "summary": bare}))[1][2:]:
        assert "None" not in row
        assert row[-1] == row[-2] == "-"


def test_the_terminal_shows_the_same_tables(document: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=200)
    draw(document, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for title in ("Batch 1, all tasks: speed", "Batch 2, by task"):
        assert title in shown
    assert shown.count("fixed-4") == 2 * 4  # each batch: twice over all tasks, and once for each of two


def test_the_command_line_of_the_run_stands_in_the_markdown(document: dict[str, Any], tmp_path: Path) -> None:
    assert "`covey bench --x`" in to_markdown({**document, "command": "covey bench --x"})
