"""What overlapping comes to with real models: the same prompts in each manner, in turn, over serial; and what of the possible gain that is.

    python benchmarks/overlap.py --prompts dev.jsonl.gz --drafters nested:smollm2 --batch 1,8,32 --controller fixed --json overlap.json

A cell is one size of batch. One engine is serial, a second one drafts while it verifies, in each manner in turn: `ahead`, `halves` from two
sequences on (`--pipeline overlapped` is ahead for one and halves for more), what `auto` makes of it, and, on CUDA, the better of the two
with the drafter on the target's stream, to see what a stream of its own is worth. Every repetition asks all of them, so that a noisy minute
is noise for all. Seconds are of whole runs; beside them stand those of steps of full batches with no prompt in them, of which the
formulas are about:

    serial    d + v
    halves    2 max(d(n/2), v(n/2))                  d, v: serial steps of half of the sequences, measured besides
    ahead     A max(d, v) + (1 - A) (d + v)          A: how often a draft ahead was there when it was wanted

d is drafting, v all else that a step does. Cells are written as they are done; begun again with the same settings the script goes on where
it was. A cell that fails says why, the others go on, and it is tried again then. `benchmarks/pipeline.py` has made-up times instead.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from always import Always
from cells import begun

from covey import LLM, SamplingParams, provenance
from covey.pipeline import Placement
from covey.pipeline.auto import Auto
from covey.pipeline.lane import Job
from covey.pipeline.manner import Ahead, Halves, Manner
from covey.prompts import file_digest, read_prompts
from covey.types import Round

LOCAL = ("prompts", "json", "batch")  # settings that a file may be gone on with without


class OneStream(Placement):
    """The drafter's thread on the target's stream."""

    def run(self, job: Job) -> None:
        job()


@dataclass
class Step:
    """One step: when it ended, the sequences that it brought on and that waited besides, and Round's seconds. full: no prompts, no ends."""

    ended: float
    sequences: int
    pool: int
    draft: float
    hidden: float
    verify: float
    beside: float
    manner: str
    full: bool = True


@dataclass
class Watch:
    """The steps of one way of doing it, from its Rounds. every: the sequences of a full batch."""

    every: int
    steps: dict[int, Step] = field(default_factory=dict)
    manners: Counter[str] = field(default_factory=Counter)
    listening: bool = False

    def __call__(self, happened: Round) -> None:
        if not self.listening:
            return
        self.manners[happened.pipeline] += bool(happened.tokens)
        times = happened.step_draft_seconds, happened.step_overlap_seconds, happened.step_verify_seconds, happened.step_beside_seconds
        step = self.steps.setdefault(happened.step, Step(0.0, happened.step_sequences, happened.pool, *times, happened.pipeline))
        step.ended = time.perf_counter()
        step.full = step.full and not happened.prefilled and happened.finish_reason is None

    def means(self) -> dict[str, float] | None:
        """Of steps of full batches that followed one of the same: seconds of a round of all, of drafting and of the rest of a step.
        None where there was none."""
        taken = []
        for number, step in self.steps.items():
            before = self.steps.get(number - 1)
            whole = step.full and before is not None and before.full and step.sequences + step.pool == self.every
            if whole and before is not None and step.manner == before.manner:
                taken.append((step, step.ended - before.ended))
        return means(taken, self.every)


def means(taken: list[tuple[Step, float]], every: int) -> dict[str, float] | None:
    """taken: steps, and how long each took."""
    if not taken:
        return None
    rounds, draft = sum(step.sequences for step, _ in taken) / every, mean(step.draft for step, _ in taken)
    return {
        "steps": len(taken),
        "round": sum(seconds for _, seconds in taken) / rounds,
        "draft": draft,
        "rest": mean(seconds for _, seconds in taken) - mean(max(0.0, step.draft - step.hidden) for step, _ in taken),
        "verify": mean(step.verify for step, _ in taken),
        "beside": mean(step.beside for step, _ in taken),
        "there": mean([step.hidden > 0 for step, _ in taken if step.draft > 0] or [0.0]),
    }


def predicted(serial: dict[str, float], half: dict[str, float] | None, there: float | None) -> dict[str, float]:
    """How many times as fast as serial each manner should be. there: A, None where nothing was drafted ahead."""
    d, v = serial["draft"], serial["rest"]
    found = {}
    if half is not None:
        found["halves"] = (d + v) / (2 * max(half["draft"], half["rest"]))
    if there is not None:
        found["ahead"] = (d + v) / (there * max(d, v) + (1 - there) * (d + v))
    return found


def reached(steps: dict[str, dict[str, float] | None], half: dict[str, float] | None) -> dict[str, Any]:
    """For each manner: the gain over serial that the formula gives, the one that full steps had, and the share of the first's speed."""
    serial, ahead = steps["serial"], steps.get("ahead")
    if serial is None:
        return {}
    gains = predicted(serial, half, None if ahead is None else ahead["there"])
    found = {}
    for name, times in steps.items():
        promised = gains.get(name.split(",")[0])
        if times is not None and promised is not None:
            gain = serial["round"] / times["round"]
            slower = times["verify"] / (half if name.startswith("halves") and half else serial)["verify"]
            found[name] = {"predicted": promised, "measured": gain, "share": gain / promised, "pass_slowed_by": slower}
    return found


def measure(given: argparse.Namespace, batch: int) -> dict[str, Any]:
    """One batch size: seconds of every way and repetition, full steps, and what the formulas make of them."""
    longest = given.longest + given.max_tokens
    options = {"num_speculative_tokens": given.length, "controller": given.controller, "max_num_seqs": batch, "prefix_reuse": False}
    options |= {"max_model_len": longest, "dtype": given.dtype, "device": given.device}
    params = SamplingParams(max_tokens=given.max_tokens, temperature=0.0)
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(LLM(given.target, drafters=given.drafters.split(","), pipeline=name, **options))
            for name in ("serial", "overlapped")
        }
        prompts = chosen(given, engines["serial"], batch)
        ways = made(engines, batch)
        for way in ways.values():
            way.run(prompts[:batch], params)
        half = Way(engines["serial"], batch // 2) if batch > 1 else None
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        texts = {}
        for _ in range(given.repetitions):
            for name, way in ways.items():
                began = time.perf_counter()
                texts[name] = way.run(prompts, params, counted=True)
                seconds[name].append(time.perf_counter() - began)
            for first in range(0, len(prompts) - batch // 2 + 1, batch // 2) if half else ():
                half.run(prompts[first : first + batch // 2], params, counted=True)  # type: ignore[union-attr]
        kept = ways["auto"].chooser.kept  # type: ignore[union-attr]
        device = str(engines["serial"].target.device)
    over = {name: [serial / mine for serial, mine in zip(seconds["serial"], each, strict=True)] for name, each in seconds.items()}
    steps, halved = {name: way.watch.means() for name, way in ways.items()}, half.watch.means() if half else None
    return {
        "batch": batch,
        "device": device,
        "prompts": len(prompts),
        "seconds": seconds,
        "over_serial": {name: {"median": median(each), "least": min(each), "most": max(each)} for name, each in over.items()},
        "rounds_by_manner": {name: dict(way.watch.manners) for name, way in ways.items()},
        "auto_kept": kept,
        "texts_that_differ": {name: sum(a != b for a, b in zip(texts[name], texts["serial"], strict=True)) for name in ways},
        "full_steps": steps,
        "full_steps_of_half": halved,
        "reached": reached(steps, halved),
    }


class Way:
    """One way of doing it: an engine, and what chooses how it takes turns there; None for the engine that is serial."""

    def __init__(self, llm: LLM, every: int, chooser: Auto | Always | None = None, placement: Placement | None = None) -> None:
        self.llm, self.chooser, self.placement, self.watch = llm, chooser, placement, Watch(every)
        llm.observe(self.watch)

    def run(self, prompts: list[list[int]], params: SamplingParams, counted: bool = False) -> list[list[int]]:
        pipeline: Any = self.llm.served().engine.pipeline
        if self.chooser is not None:
            pipeline.settle()
            pipeline.chooser = self.chooser
        if self.placement is not None:
            pipeline.desk.lane.placement = self.placement
        self.watch.listening = counted
        done = [c.token_ids for c in self.llm.generate(prompts, params, progress=False)]
        self.watch.listening = False
        return done


def made(engines: dict[str, LLM], batch: int) -> dict[str, Way]:
    overlapped = engines["overlapped"]
    desk: Any = overlapped.served().engine.pipeline.desk  # type: ignore[attr-defined]
    own, better = desk.lane.placement, "halves" if batch > 1 else "ahead"
    manners: dict[str, Manner] = {"ahead": Ahead(), **({"halves": Halves()} if batch > 1 else {})}
    if not desk.drafter.drafts_ahead:
        del manners["ahead"]
    ways = {"serial": Way(engines["serial"], batch)}
    ways |= {name: Way(overlapped, batch, Always(manner), own) for name, manner in manners.items()}
    if own.device.type == "cuda" and better in manners:
        ways[f"{better}, one stream"] = Way(overlapped, batch, Always(manners[better]), OneStream(str(own.device)))
    return ways | {"auto": Way(overlapped, batch, Auto(), own)}


def chosen(given: argparse.Namespace, llm: LLM, batch: int) -> list[list[int]]:
    """Prompts of every task, over again where they are fewer than a batch."""
    if given.prompts is None:
        every = [llm.encode(text) for text in ("the birds fly over the hill and the birds fly", "a covey sings", "they sing")]
    else:
        read = read_prompts(given.prompts)
        some = [p for task in dict.fromkeys(p.task for p in read) for p in [q for q in read if q.task == task][: given.limit]]
        every = [llm.encode([dict(m) for m in p.messages]) for p in some]
    every = [ids for ids in every if len(ids) <= given.longest]
    if not every:
        raise SystemExit(f"--longest {given.longest}: no prompt is as short as that; set it higher")
    return every * -(-batch // len(every))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, help="without them a few sentences are asked")
    parser.add_argument("--drafters", required=True, help="separated by commas")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--controller", default="goodput")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int, default=2, help="prompts of a task")
    parser.add_argument("--longest", type=int, default=1000, help="tokens of a prompt; longer ones are left out")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    digest = file_digest(given.prompts) if given.prompts else None
    settings = {k: v for k, v in vars(given).items() if k not in LOCAL} | {"prompts_sha256": digest}
    cells = begun(given, settings)
    for batch in map(int, given.batch.split(",")):
        if any(cell["batch"] == batch for cell in cells):
            continue
        try:
            cells.append(measure(given, batch))
        except Exception as error:  # such as memory: the other cells are worth having
            cells.append({"batch": batch, "error": f"{type(error).__name__}: {error}", "where": traceback.format_exc()})
        gc.collect()
        torch.cuda.empty_cache()
        partial = given.json.with_suffix(".partial")
        partial.write_text(json.dumps({**provenance.about(), "settings": settings, "cells": cells}, indent=1) + "\n", "utf-8")
        partial.replace(given.json)
        print(json.dumps({k: cells[-1][k] for k in ("batch", "error", "over_serial", "reached") if k in cells[-1]}), flush=True)
    raise SystemExit(any("error" in cell for cell in cells))


if __name__ == "__main__":
    main()
