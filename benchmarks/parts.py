"""What the parts of a step cost on this machine: passes by their number of tokens, the noise, reading a prompt, starting.

python benchmarks/parts.py --compile > benchmarks/parts.json      # a few minutes; nothing else should run
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from covey import noise, provenance
from covey.model.load import load
from covey.model.runner import Feed, ModelRunner

CONTEXT = 400
PASSES = [(1, 1), (1, 2), (1, 4), (1, 5), (1, 6), (1, 8), (1, 9), (1, 16), (4, 1), (4, 5), (8, 1), (8, 5)]
PROMPTS = [128, 512, 1024]
TEXT = "The weather in Paris is mild in spring, and people walk along the river in the evening. Then the city "


def milliseconds(work: Callable[[], object], repetitions: int) -> dict[str, float]:
    work()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    quartiles = statistics.quantiles(times, n=4)
    return {"median": round(statistics.median(times), 3), "quartiles": [round(quartiles[0], 3), round(quartiles[2], 3)]}


def passes(runner: ModelRunner, text: list[int]) -> list[dict[str, Any]]:
    """Interleaved round by round, so that a slower minute slows them all."""
    rows = [runner.rows.open(i) for i in range(8)]
    for row in rows:
        runner.rows.reserve(row, 1088)
        runner.forward([Feed(row, 0, text[:CONTEXT], 1)])
    feeds = {(s, t): [Feed(row, CONTEXT, text[:t], t) for row in rows[:s]] for s, t in PASSES}
    times: dict[tuple[int, int], list[float]] = {shape: [] for shape in PASSES}
    for _ in range(40):
        for shape in PASSES:
            began = time.perf_counter()
            runner.forward(feeds[shape])
            times[shape].append((time.perf_counter() - began) * 1e3)
    one = times[1, 1]
    return [
        {
            "sequences": s,
            "tokens_each": t,
            "ms": round(statistics.median(taken), 2),
            "ratio_to_one_token": round(statistics.median(a / b for a, b in zip(taken, one, strict=True)), 3),
        }
        for (s, t), taken in times.items()
    ]


def reading(runner: ModelRunner, text: list[int]) -> list[dict[str, Any]]:
    row = runner.rows[0]
    found = [(n, milliseconds(lambda n=n: runner.forward([Feed(row, 0, text[:n], 1)]), 6)) for n in PROMPTS]
    return [{"tokens": n, "ms": ms, "tokens_per_second": round(n / ms["median"] * 1e3)} for n, ms in found]


def noise_share(runner: ModelRunner, text: list[int]) -> list[dict[str, Any]]:
    """The choice by shared noise on the model's own logits, against the pass that gave them and that choice together."""
    row, found = runner.rows[0], []
    logits = runner.forward([Feed(row, 0, text[:64], 64)]).float()
    with torch.inference_mode():
        for positions in (1, 5, 8):
            step = milliseconds(lambda n=positions: runner.forward([Feed(row, CONTEXT, text[:n], n)]), 30)["median"]
            for temperature in (0.7, 1.0, 1.5, 2.0):
                places = iter(range(1 << 30))

                def choose(count: int = positions, heat: float = temperature, places: Any = places) -> None:
                    at = next(places) % (64 - count)
                    noise.choose(logits[at : at + count] / heat, [1] * count, list(range(at, at + count)))

                ms = milliseconds(choose, 100)
                share = round(ms["median"] / (ms["median"] + step), 4)
                found.append({"positions": positions, "temperature": temperature, "ms": ms, "share_of_step": share})
    return found


def first_output(target: str, compiled: bool, cache: Path) -> float:
    """Seconds from starting the command to the first byte of text, the model being in the cache."""
    flags = ["--compile"] if compiled else []
    command = [sys.executable, "-m", "covey", "generate", "Why do birds fly?", "--target", target, "--max-tokens", "8", *flags]
    began = time.perf_counter()
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        seconds = time.perf_counter() - began
        process.stdout.read()
    return round(seconds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    began, load_before = provenance.now(), provenance.load_average()
    with tempfile.TemporaryDirectory() as folder:
        starts = {"uncompiled": [first_output(options.target, False, Path(folder)) for _ in range(3)]}
        if options.compile:
            starts["compiled_first"] = [first_output(options.target, True, Path(folder))]
            starts["compiled_from_cache"] = [first_output(options.target, True, Path(folder))]
    runner = ModelRunner(load(options.target), compiled=options.compile)
    runner.allocate(num_blocks=160)
    text = (runner.loaded.tokenizer.encode(TEXT) * 100)[:1088]
    result = {
        "command": provenance.command(),
        "begun": began,
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "load_average": load_before,
        "target": options.target,
        "dtype": str(runner.dtype).removeprefix("torch."),
        "compiled": options.compile,
        "context": CONTEXT,
        "passes": passes(runner, text),
        "reading": reading(runner, text),
        "noise": noise_share(runner, text),
        "seconds_to_first_output": starts,
    }
    runner.close()
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
