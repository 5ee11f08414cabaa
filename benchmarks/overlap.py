"""What overlapping comes to with real models: the same prompts under each pipeline, in turn, over serial.

    python benchmarks/overlap.py --prompts dev.jsonl.gz --drafters nested:smollm2 --batch 1,8 --json overlap.json

One engine for each pipeline, all in one process; every repetition asks all of them, so that a noisy minute is noise for all.
`benchmarks/pipeline.py` has made-up times instead, and an ideal to be compared with.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from covey import LLM, SamplingParams, provenance
from covey.config.catalogue import PIPELINES
from covey.prompts import file_digest, read_prompts
from covey.types import Round


def measure(given: argparse.Namespace, batch: int) -> dict[str, Any]:
    """One batch size: seconds of every pipeline and repetition, and how rounds were done."""
    options = {"num_speculative_tokens": given.length, "controller": given.controller, "max_num_seqs": batch, "prefix_reuse": False}
    every = read_prompts(given.prompts)
    chosen = [p for task in dict.fromkeys(p.task for p in every) for p in [q for q in every if q.task == task][: given.limit]]
    params = SamplingParams(max_tokens=given.max_tokens, temperature=0.0)
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(LLM(given.target, drafters=given.drafters.split(","), pipeline=name, **options)) for name in PIPELINES
        }
        manners: dict[str, Counter[str]] = {name: Counter() for name in engines}
        for name, llm in engines.items():
            llm.observe(lambda happened, held=manners[name]: _count(held, happened))  # type: ignore[misc]
        prompts = [engines["serial"].encode([dict(m) for m in p.messages]) for p in chosen]
        prompts = [ids for ids in prompts if len(ids) <= given.longest]
        for llm in engines.values():
            llm.generate(prompts[:batch], params, progress=False)
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        texts = {}
        for _ in range(given.repetitions):
            for name, llm in engines.items():
                began = time.perf_counter()
                texts[name] = [c.token_ids for c in llm.generate(prompts, params, progress=False)]
                seconds[name].append(time.perf_counter() - began)
    over = {name: [serial / mine for serial, mine in zip(seconds["serial"], seconds[name], strict=True)] for name in engines}
    return {
        "batch": batch,
        "prompts": len(prompts),
        "seconds": seconds,
        "over_serial": {name: {"median": median(each), "least": min(each), "most": max(each)} for name, each in over.items()},
        "rounds_by_manner": {name: dict(held) for name, held in manners.items()},
        "texts_that_differ": {name: sum(a != b for a, b in zip(texts[name], texts["serial"], strict=True)) for name in engines},
    }


def _count(held: Counter[str], happened: Round) -> None:
    held[happened.pipeline] += bool(happened.tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--drafters", required=True, help="separated by commas")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--controller", default="goodput")
    parser.add_argument("--limit", type=int, default=2, help="prompts of a task")
    parser.add_argument("--longest", type=int, default=1000, help="tokens of a prompt; longer ones are left out")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    cells = []
    for batch in map(int, given.batch.split(",")):
        cells.append(measure(given, batch))
        print(json.dumps({k: cells[-1][k] for k in ("batch", "over_serial", "rounds_by_manner", "texts_that_differ")}), flush=True)
    settings = {k: v for k, v in vars(given).items() if k not in ("prompts", "json")} | {"prompts_sha256": file_digest(given.prompts)}
    given.json.write_text(json.dumps({**provenance.about(), "settings": settings, "cells": cells}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
