"""What overlapping drafting and verifying wins, against what it could win at best; and what waiting costs.

A target and a drafter take given times, a + b x sequences, in waits that leave the processor alone, as a GPU does. Every round commits the
same tokens; whether the guess that a draft is continued from holds is scripted, with a chance A, for all sequences of a round alike. For
each ratio of the two times, number of sequences and share of a, manners are measured against their ideals:

    halves    2 max(d(n/2), v(n/2))                  two groups take turns
    ahead     A max(d, v) + (1 - A) (d + v)          one group, drafted for while it is verified
    serial    d + v

    python benchmarks/pipeline.py --output benchmarks/pipeline.json --plot benchmarks/pipeline.png
    python benchmarks/pipeline.py --output benchmarks/pipeline.json --again

The last line of the output is the result as JSON: shares of the ideal reached, what `auto` kept, and how it did over a whole run of
96 rounds, its trials included, against serial. It sleeps
most of the time; on a machine that has other work, too, wake-ups come late, so shares are given of the times as taken besides, and cells
that reached less than 0.9 can be measured again by themselves (`again` in the file, beside what they were).
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from always import Always
from scripted import LENGTH, Fate, TimedDrafter, TimedTarget, Times, token_at

from covey import LLM, SamplingParams, provenance
from covey.pipeline.manner import Ahead, Halves, Here, Manner

RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
COUNTS = (1, 2, 4, 8, 16)
SHARES = (0.95, 0.5, 0.05)
_AUTO_ROUNDS = 96  # of which it may try things out for 64
_SHOWN = ("ratio", "count", "share", "chance", "best", "reached", "reached_of_times_taken", "auto_reached", "auto_whole", "auto_kept")
SMURFS = {"OPT-13B": 0.34, "Llama2-70B": 0.55}  # gain of its pipeline at batch 16, as reported (SC'25)


@dataclass(frozen=True)
class Cell:
    """One load. ratio: drafting over verifying; share: of the times that does not depend on the number of sequences."""

    ratio: float
    count: int
    share: float
    chance: float
    longest: float

    def times(self) -> tuple[Times, Times]:
        """Of the drafter and of the target; the longer one takes `longest` seconds for all."""
        draft, verify = self.longest * min(1.0, self.ratio), self.longest * min(1.0, 1 / self.ratio)
        return Times(draft, self.count, self.share), Times(verify, self.count, self.share)

    def ideals(self) -> dict[str, float]:
        """Seconds that a round of all sequences takes at best, by manner."""
        d, v = self.times()
        n, longer = self.count, max(d.whole, v.whole)
        found = {"serial": d.whole + v.whole, "ahead": self.chance * longer + (1 - self.chance) * (d.whole + v.whole)}
        return found if n == 1 else {**found, "halves": 2 * max(d(n / 2), v(n / 2))}


@dataclass(frozen=True)
class Run:
    """seconds: a round of all sequences; whole: the same over the whole run. late: how much longer waits lasted than they were to. kept:
    what auto found."""

    seconds: float
    whole: float
    late: float
    kept: dict[str, str]


def run(cell: Cell, manner: Manner | None, rounds: int) -> Run:
    """The first quarter of a run is not counted; manner None is `auto`, which gets two thirds to find its own."""
    draft, verify = cell.times()
    options = {"controller": "fixed", "num_speculative_tokens": LENGTH, "max_num_seqs": cell.count}
    with LLM(TimedTarget(verify), drafters=[TimedDrafter(draft, Fate(cell.chance))], pipeline="auto", **options) as llm:
        pipeline = llm.served().engine.pipeline
        if manner is not None:
            pipeline.chooser = Always(manner)  # type: ignore[attr-defined]
        steps: dict[int, tuple[float, int]] = {}  # when each ended, and its tokens
        llm.observe(lambda h: steps.update({h.step: (time.perf_counter(), steps.get(h.step, (0.0, 0))[1] + len(h.tokens))}))
        params = SamplingParams(max_tokens=rounds * (LENGTH + 1), ignore_eos=True)
        done = llm.generate([[token_at(0)]] * cell.count, params, progress=False)
        assert all(c.token_ids == [token_at(1 + i) for i in range(len(c.token_ids))] for c in done), "another text"
        kept = dict(pipeline.chooser.kept) if manner is None else {}  # type: ignore[attr-defined]
    ends = list(steps.values())[: -1 if cell.count > 1 else None]  # the last group has nobody to take turns with
    whole, seconds = (_a_round(ends[first:], cell) for first in (0, len(ends) * 2 // 3 if manner is None else len(ends) // 4))
    return Run(seconds, whole, (draft.taken + verify.taken) / (draft.given + verify.given), kept)


def _a_round(ends: list[tuple[float, int]], cell: Cell) -> float:
    """Seconds that a round of all sequences took between the first of these steps and the last."""
    tokens = sum(count for _, count in ends[1:])
    return (ends[-1][0] - ends[0][0]) / (tokens / (LENGTH + 1) / cell.count)


def measure(cell: Cell, rounds: int) -> dict[str, Any]:
    ideals = cell.ideals()
    manners: dict[str, Manner] = {"serial": Here(), "ahead": Ahead(), "halves": Halves()}
    runs = {name: run(cell, manners[name], rounds) for name in ideals}
    runs["auto"] = run(cell, None, _AUTO_ROUNDS)
    best = min(ideals, key=lambda name: ideals[name])
    chosen = list(runs["auto"].kept.values())[-1]
    return {
        **asdict(cell),
        "ideal_seconds": ideals,
        "seconds": {name: each.seconds for name, each in runs.items()},
        "late": {name: each.late for name, each in runs.items()},
        "best": best,
        "reached": ideals[best] / runs[best].seconds,
        "reached_of_times_taken": ideals[best] * runs[best].late / runs[best].seconds,
        "auto_reached": ideals[best] / runs["auto"].seconds,
        "auto_whole": runs["serial"].seconds / runs["auto"].whole,
        "auto_kept": chosen,
        "auto_right": ideals[chosen] <= 1.05 * ideals[best],
        "gain": runs["serial"].seconds / runs["auto"].seconds - 1,
    }


def waiting_share(longest: float) -> float:
    """CPU time over wall time while target and drafter sleep and the engine waits for them: one sequence, in turn."""
    cell = Cell(4.0, 1, 0.95, 0.5, longest)
    began, cpu = time.perf_counter(), time.process_time()
    run(cell, Manner(), 16)
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def draw(cells: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5))
    for count in COUNTS:
        for share, mark in zip(SHARES, "os^", strict=True):
            some = [c for c in cells if (c["count"], c["share"]) == (count, share) and c["chance"] == cells[0]["chance"]]
            if some:
                colour = f"C{COUNTS.index(count)}"
                label = f"n = {count}" if share == SHARES[0] else None
                left.plot([c["ratio"] for c in some], [100 * c["gain"] for c in some], color=colour, marker=mark, label=label)
                right.plot([c["ratio"] for c in some], [100 * c["auto_reached"] for c in some], color=colour, marker=mark)
    for name, gain in SMURFS.items():
        left.axhline(100 * gain, color="grey", linestyle="--")
        left.text(0.25, 100 * gain + 1, f"Smurfs, {name}, batch 16: +{gain:.0%} (as reported)", fontsize=8, color="grey")
    right.axhline(90, color="grey", linestyle=":")
    left.set(
        xscale="log",
        xlabel="drafting / verifying",
        ylabel="gain of auto over serial, %",
        title="circle: a >> bn, square: equal, triangle: a << bn",
    )
    right.set(xscale="log", xlabel="drafting / verifying", ylabel="auto, % of the best ideal", ylim=(50, 105))
    for each in (left, right):
        each.set_xticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
        each.minorticks_off()
    left.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def spread(values: list[float]) -> dict[str, float]:
    return {"least": min(values), "median": median(values), "at 0.9": sum(value >= 0.9 for value in values)}


def cells_of(chance: float, longest: float) -> list[Cell]:
    cells = [Cell(r, n, s, chance, longest) for r in RATIOS for n in COUNTS for s in (SHARES if n > 1 else SHARES[:1])]
    return cells + [Cell(r, 1, SHARES[0], other, longest) for r in (0.5, 1.0, 2.0) for other in (0.3, 0.95)]


def measure_again(place: Path, rounds: int) -> None:
    """Cells that reached less than 0.9, one after another."""
    document = json.loads(place.read_text("utf-8"))
    names = ("ratio", "count", "share", "chance", "longest")
    low = [Cell(**{name: cell[name] for name in names}) for cell in document["cells"] if cell["reached"] < 0.9]
    document["again"] = {**provenance.about(), "cells": [measure(cell, rounds) for cell in low]}
    place.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(json.dumps([{k: cell[k] for k in _SHOWN} for cell in document["again"]["cells"]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--chance", type=float, default=0.7, help="A, of the ahead-guess")
    parser.add_argument("--longest", type=float, default=0.25, help="seconds of the longer of the two steps")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=12, help="cells that are measured at a time: they sleep most of it")
    parser.add_argument("--again", action="store_true", help="measure what reached less than 0.9 in the --output again")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    if given.again:
        measure_again(given.output, given.rounds)
        return
    cells, done = cells_of(given.chance, given.longest), []
    with ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn")) as processes:
        for cell in processes.map(measure, cells, [given.rounds] * len(cells)):
            done.append(cell)
            print(json.dumps({k: cell[k] for k in _SHOWN}), flush=True)
    reached = {name: spread([cell[name] for cell in done]) for name in ("reached", "reached_of_times_taken", "auto_reached", "auto_whole")}
    right = sum(cell["auto_right"] for cell in done)
    summary = {"cells": len(done), **reached, "auto_right": right, "waiting_cpu_share": waiting_share(given.longest)}
    if given.output:
        given.output.write_text(json.dumps({**provenance.about(), "summary": summary, "cells": done}, indent=1) + "\n", "utf-8")
    if given.plot:
        draw(done, given.plot)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
