"""Which draft length is best where, and how near to it each controller comes: replayed with one measured cost profile.

    python benchmarks/lengths.py record --prompts dev.jsonl.gz --output lengths       # once, on any machine: texts and drafts
    python benchmarks/lengths.py costs --output lengths                               # on a quiet machine: seconds
    python benchmarks/lengths.py replay --output lengths --json lengths.json          # no model, and the same every time

A cell is a group of tasks, a batch size and a drafter. In each, lengths 0 to 8 are fixed in turn and every controller is tried; prompts
count as read, so that a cell is decoding alone. A drafter ends its drafts by itself at fixed lengths, as it does when it serves.
`over_best` is hindsight: the best length of the very texts that are decoded. `over_chosen` compares with what somebody could have set:
the best length of one half of the prompts, scored on the other half, both ways. Every cell is replayed under several seeds of the jitter of
times, and speeds are means over them: a controller that reads a noisy clock takes another way each time.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from cells import gap_closed

from covey import LLM, SamplingParams, provenance
from covey.control import Goodput
from covey.cost import Costs
from covey.plot import Reliability, draw_reliability, trusted
from covey.prompts import file_digest, read_prompts
from covey.replay import Recorded, compare, read_trace
from covey.types import Prompt

GROUPS = {
    "code, math": ("code", "math"),
    "chat, dialogue, qa": ("chat", "dialogue", "qa"),
    "long input": ("summarization", "rag", "finance", "translation"),
}
DRAFTERS = {
    "nested": ("nested:smollm2",),
    "suffix": ("suffix:smollm2",),
    "collective": ("suffix:smollm2", "nested:smollm2"),
}
BATCHES = (1, 4, 16)
LENGTHS = (0, 1, 2, 3, 4, 6, 8)
REASONABLE = (2, 3, 4, 6, 8)  # what somebody might set and leave
CONTROLLERS = ("goodput", "smurfs", "heuristic", "confidence", "table")
LONGEST = 8
OWN_FLOOR = {"nested": 0.0, "suffix": 0.15, "collective": 0.15}  # min_survival of each drafter


def record(given: argparse.Namespace) -> None:
    """The target's texts, and for every position of them what each drafter would have drafted."""
    for name, drafters in DRAFTERS.items():
        with LLM(given.target, drafters=list(drafters), controller="watch", num_speculative_tokens=LONGEST, compile=given.compile) as llm:
            for number, (group, tasks) in enumerate(GROUPS.items()):
                place = given.output / f"{name}-{number}.jsonl"
                if place.exists():
                    continue
                rounds: list[dict[str, Any]] = []
                end = llm.observe(lambda happened, held=rounds: held.append(happened.to_dict()))  # type: ignore[misc]
                llm.generate(_prompts(given, tasks), SamplingParams(max_tokens=given.max_tokens, temperature=0))
                end()
                partial = place.with_suffix(".partial")
                partial.write_text("".join(json.dumps(each) + "\n" for each in rounds), "utf-8")
                partial.replace(place)
                print(f"{place}: {group}", flush=True)


def _prompts(given: argparse.Namespace, tasks: tuple[str, ...]) -> list[Prompt]:
    every = read_prompts(given.prompts, tasks)
    chosen = [each for task in tasks for each in [p for p in every if p.task == task][: given.limit]]
    return [[dict(message) for message in each.messages] for each in chosen]


def costs(given: argparse.Namespace) -> None:
    """What passes and drafts cost on this machine, from covey's own first measurement and then from serving."""
    for name, drafters in DRAFTERS.items():
        with LLM(
            given.target, drafters=list(drafters), max_num_seqs=max(BATCHES), num_speculative_tokens=LONGEST, compile=given.compile
        ) as llm:
            controller = llm.served().engine.controller
            assert isinstance(controller, Goodput)
            measured = {"costs": controller.costs.to_dict(), "compile": given.compile, **provenance.about()}
        (given.output / f"costs-{name}.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


def tried(given: argparse.Namespace) -> dict[str, Any]:
    """Every cell: tokens a second of every fixed length and of every controller."""
    cells = []
    measured = {name: json.loads((given.output / f"costs-{name}.json").read_text("utf-8")) for name in DRAFTERS}
    for name in DRAFTERS:
        known = Costs.from_dict(measured[name]["costs"])
        for number, group in enumerate(GROUPS):
            texts = read_trace(given.output / f"{name}-{number}.jsonl")
            for batch in BATCHES:
                cell = _cell(Grid(texts, known, batch, OWN_FLOOR[name], given.jitter, given.seeds))
                cells.append({"drafter": name, "group": group, "batch": batch, **cell})
    return {
        **provenance.about(),
        "prompts_sha256": file_digest(given.prompts) if given.prompts else None,
        "jitter": given.jitter,
        "seeds": given.seeds,
        "costs": measured,
        "calibration": {name: {who: each.to_dict() for who, each in both.items()} for name, both in _trusted(given).items()},
        "cells": cells,
        "summary": _summary(cells),
    }


def _trusted(given: argparse.Namespace) -> dict[str, dict[str, Reliability]]:
    """How far each drafter's estimates can be trusted, over all groups."""
    return {name: trusted([t for n in range(len(GROUPS)) for t in read_trace(given.output / f"{name}-{n}.jsonl")]) for name in DRAFTERS}


@dataclass(frozen=True)
class Grid:
    """What is replayed in one cell, and how. floor: min_survival at fixed lengths; seeds: how many of the jitter."""

    texts: list[Recorded]
    costs: Costs
    batch: int
    floor: float
    jitter: float
    seeds: int

    def speeds(self) -> tuple[dict[int, list[float]], dict[str, list[float]]]:
        """Tokens a second under every seed: of every fixed length, and of every controller."""
        texts, options = self.texts * max(1, self.batch // 4), {"jitter": self.jitter, "min_survival": self.floor}
        runs = [compare(texts, self.costs, self.batch, LENGTHS, CONTROLLERS, seed=seed, **options) for seed in range(self.seeds)]
        fixed = {length: [each[length].tokens_per_second for each, _ in runs] for length in LENGTHS}
        return fixed, {name: [each[name].tokens_per_second for _, each in runs] for name in CONTROLLERS}


def _cell(grid: Grid) -> dict[str, Any]:
    fixed_by_seed, by_seed = grid.speeds()
    fixed = {str(length): mean(speeds) for length, speeds in fixed_by_seed.items()}
    chosen = {name: mean(speeds) for name, speeds in by_seed.items()}
    best = max(fixed.values())
    return {
        "fixed": fixed,
        "controllers": chosen,
        "controllers_by_seed": by_seed,
        "best_length": int(max(fixed, key=lambda length: fixed[length])),
        "over_best": {name: speed / best for name, speed in chosen.items()},
        "over_plain": {name: speed / fixed["0"] for name, speed in {**chosen, "best fixed": best}.items()},
        "over_chosen": _over_chosen(grid),
    }


def _over_chosen(grid: Grid) -> dict[str, float]:
    """Every controller on one half of the texts, over the length that was best on the other; the mean of both ways."""
    halves = [replace(grid, texts=half).speeds() for half in (grid.texts[::2], grid.texts[1::2])]
    over = []
    for (seen, _), (fixed, chosen) in (halves, halves[::-1]):
        length = max(seen, key=lambda each: mean(seen[each]))
        over.append({name: mean(speeds) / mean(fixed[length]) for name, speeds in chosen.items()})
    return {name: mean(each[name] for each in over) for name in CONTROLLERS}


def _summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """By controller: the worst cell and the mean, against the best fixed length and plain decoding, and how much of the gap closed."""
    return {
        name: {
            "worst_over_best": min(cell["over_best"][name] for cell in cells),
            "mean_over_best": sum(cell["over_best"][name] for cell in cells) / len(cells),
            "worst_over_chosen": min(cell["over_chosen"][name] for cell in cells),
            "mean_over_chosen": sum(cell["over_chosen"][name] for cell in cells) / len(cells),
            "worst_over_plain": min(cell["over_plain"][name] for cell in cells),
            "gap_closed": gap_closed(_way(cell, name) for cell in cells),
        }
        for name in CONTROLLERS
    }


def _way(cell: dict[str, Any], name: str) -> tuple[float, float, float]:
    return cell["controllers"][name], min(cell["fixed"][str(length)] for length in REASONABLE), max(cell["fixed"].values())


def show(document: dict[str, Any]) -> None:
    print("| drafter | group | batch | best k | best k over plain | " + " | ".join(CONTROLLERS) + " |")
    print("|---|---|---|---|---|" + "---|" * len(CONTROLLERS))
    for cell in document["cells"]:
        over = " | ".join(f"{cell['over_best'][name]:.3f}" for name in CONTROLLERS)
        over_plain = f"{cell['over_plain']['best fixed']:.2f}"
        print(f"| {cell['drafter']} | {cell['group']} | {cell['batch']} | {cell['best_length']} | {over_plain} | {over} |")
    print(json.dumps(document["summary"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("record", "costs", "replay"))
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="the folder of traces and costs")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--limit", type=int, default=4, help="prompts of a task")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--jitter", type=float, default=0.05, help="of times in a replay; see covey.replay")
    parser.add_argument("--seeds", type=int, default=4, help="of the jitter: how often each cell is replayed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="draw how far estimates can be trusted")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if given.stage == "record":
        record(given)
    elif given.stage == "costs":
        costs(given)
    else:
        document = tried(given)
        if given.json:
            given.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        if given.picture:
            draw_reliability(_trusted(given), given.picture)
        show(document)


if __name__ == "__main__":
    main()
