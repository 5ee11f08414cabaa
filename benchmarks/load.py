"""How draft lengths follow a load that changes: a few sequences, then many, then a few, for real or replayed with measured costs.

    python benchmarks/load.py --prompts prompts.jsonl --drafters suffix:smollm2 --picture load.png --json load.json

    covey generate --input prompts.jsonl --output answers.jsonl --controller watch --trace trace.jsonl
    covey costs --max-num-seqs 16 --output costs.json
    python benchmarks/load.py --trace trace.jsonl --costs costs.json --picture load.png --json load.json

Three phases of equally many steps. Each controller, and each of some fixed lengths, runs through all of them by itself; the figures are
tokens a second and mean length by phase. For real, uncompiled, a request that ends is followed by the next prompt, and those beyond a
smaller batch are aborted. In a replay, which runs no model, they wait and are taken up again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

from covey import LLM, CoveyError, SamplingParams, provenance
from covey.config.catalogue import CONTROLLERS
from covey.control import Controller, FixedLength, make_controller
from covey.cost import Costs
from covey.llm.request import Request
from covey.prompts import file_digest, read_prompts
from covey.replay import Recorded, read_costs, read_trace, replay
from covey.types import Round

WINDOW = 8  # steps that a drawn length is the mean of


def tried(given: argparse.Namespace) -> dict[str, Any]:
    """Every controller and fixed length, step by step and by phase."""
    batches = [given.low] * given.steps + [given.high] * given.steps + [given.low] * given.steps
    names = [*(f"fixed-{length}" for length in given.lengths), *given.controllers]
    if given.prompts:
        about = {"prompts_sha256": file_digest(given.prompts), "target": given.target, "drafters": given.drafters}
        runs = {name: _served(name, batches, given) for name in names}
    else:
        texts, known = read_trace(given.trace), read_costs(given.costs)
        if not any(text.drafts for text in texts):
            raise CoveyError(f"trace={str(given.trace)!r}: no drafts in it; record with --controller watch, and drafters")
        about = {
            "trace_sha256": file_digest(given.trace),
            "costs": json.loads(given.costs.read_text("utf-8")),
            "jitter": given.jitter,
            "min_survival": given.min_survival,
        }
        runs = {name: _replayed(name, texts, known, batches, given) for name in names}
    return {
        **provenance.about(),
        **about,
        "batches": [given.low, given.high, given.low],
        "steps": given.steps,
        "runs": {name: {"phases": _phases(held, given.steps), "each_step": held} for name, held in runs.items()},
    }


def _served(name: str, batches: list[int], given: argparse.Namespace) -> list[dict[str, float]]:
    """What each step came to, with the model."""
    kind, _, length = name.partition("-")
    options: dict[str, Any] = {"controller": kind, "num_speculative_tokens": int(length)} if length else {"controller": kind}
    steps: list[dict[str, float]] = []
    with LLM(
        given.target, drafters=given.drafters.split(","), max_num_seqs=given.high, compile=False, prefix_reuse=False, **options
    ) as llm:
        engine, rounds, running = llm.served().engine, [], list[Request]()
        llm.observe(rounds.append)
        waiting = itertools.cycle(llm.tokenizer.apply_chat([dict(m) for m in each.messages]) for each in read_prompts(given.prompts))
        for batch in batches:
            running = [request for request in running if not request.finished]
            for request in running[batch:]:
                engine.abort(request.id)
            del running[batch:]
            while len(running) < batch:
                params = SamplingParams(max_tokens=given.max_tokens)
                running.append(llm._request(list(next(waiting)), params, lambda event: None, model=None, scope=""))
                llm._add(running[-1:])
            began = time.perf_counter()
            engine.step()
            steps.append(_step([each for each in rounds if each.tokens], time.perf_counter() - began))
            rounds.clear()
    return steps


def _step(rounds: list[Round], seconds: float) -> dict[str, float]:
    """rounds: those of the sequences that were given tokens; none where all were still reading their prompts."""
    length = sum(each.sent for each in rounds) / max(1, len(rounds))
    return {"batch": len(rounds), "length": length, "tokens": sum(len(each.tokens) for each in rounds), "seconds": seconds}


def _replayed(name: str, texts: list[Recorded], known: Costs, batches: list[int], given: argparse.Namespace) -> list[dict[str, float]]:
    """What each step came to, by the trace."""
    longest = max(len(tokens) for text in texts for tokens, _ in text.drafts.values())
    steps: list[dict[str, float]] = []

    def make(costs: Costs) -> Controller:
        kind, _, length = name.partition("-")
        return FixedLength(int(length)) if length else make_controller(kind, longest, costs)

    def observe(rounds: list[Round]) -> None:
        steps.append(_step(rounds, rounds[0].step_draft_seconds + rounds[0].step_verify_seconds))

    # Enough text for every step to be full, however well it is drafted; what is left over is run through at the highest batch.
    wanted = sum(batches) * (1 + longest)
    enough = texts * -(-wanted // sum(len(text.tokens) for text in texts))

    def batch(step: int) -> int:
        return batches[step] if step < len(batches) else max(batches)

    replay(enough, make, known, batch, jitter=given.jitter, min_survival=given.min_survival, observe=observe)
    return steps[: len(batches)]


def _phases(steps: list[dict[str, float]], size: int) -> list[dict[str, float]]:
    phases = [steps[at : at + size] for at in range(0, len(steps), size)]
    return [
        {
            "tokens_per_second": sum(each["tokens"] for each in phase) / sum(each["seconds"] for each in phase),
            "mean_length": sum(each["length"] * each["batch"] for each in phase) / max(1, sum(each["batch"] for each in phase)),
        }
        for phase in phases
    ]


def draw(document: dict[str, Any], place: Path) -> None:
    """Batch and mean length by step. Raises CoveyError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CoveyError("--picture needs the package matplotlib: pip install 'covey[train]'") from None
    figure = Figure(figsize=(10, 5), layout="constrained")
    load, lengths = figure.subplots(2, 1, sharex=True, height_ratios=[1, 3])
    runs = document["runs"]
    load.plot([each["batch"] for each in next(iter(runs.values()))["each_step"]], color="grey", drawstyle="steps-post")
    load.set(ylabel="sequences", ylim=(0, None))
    for name, held in runs.items():
        if not name.startswith("fixed-"):
            drawn = _smooth([each["length"] for each in held["each_step"]])
            speeds = ", ".join(f"{phase['tokens_per_second']:.0f}" for phase in held["phases"])
            lengths.plot(drawn, label=f"{name}: {speeds} tokens/s")
    lengths.set(xlabel="step", ylabel=f"mean draft length, of {WINDOW} steps", ylim=(0, None))
    for axes in (load, lengths):
        for border in (document["steps"], 2 * document["steps"]):
            axes.axvline(border, color="grey", linewidth=0.7, linestyle=":")
    lengths.legend(fontsize=8)
    figure.savefig(place, dpi=120)


def _smooth(values: list[float]) -> list[float]:
    """Each the mean of the last few, itself included."""
    windows = (values[max(0, at + 1 - WINDOW) : at + 1] for at in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def show(document: dict[str, Any]) -> None:
    print("| run | " + " | ".join(f"batch {batch}: tokens/s, mean length" for batch in document["batches"]) + " |")
    print("|---|" + "---|" * len(document["batches"]))
    for name, held in document["runs"].items():
        cells = [f"{phase['tokens_per_second']:.1f}, {phase['mean_length']:.2f}" for phase in held["phases"]]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(json.dumps({name: held["phases"] for name, held in document["runs"].items()}))


def _controllers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in CONTROLLERS:
            raise argparse.ArgumentTypeError(f"{name!r} is no controller; name some of {', '.join(CONTROLLERS)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompts", type=Path, help="to be answered for real")
    source.add_argument("--trace", type=Path, help="to be replayed; written under --controller watch")
    parser.add_argument("--costs", type=Path, help="of a replay; written by covey costs")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--drafters", default="suffix:smollm2", help="separated by commas")
    parser.add_argument("--max-tokens", type=int, default=96, help="of an answer")
    parser.add_argument("--controllers", type=_controllers, default=["goodput", "smurfs", "heuristic", "table"])
    parser.add_argument("--lengths", type=lambda text: [int(part) for part in text.split(",")], default=[0, 1, 2, 4, 8])
    parser.add_argument("--low", type=int, default=1, help="sequences in the first and the last phase")
    parser.add_argument("--high", type=int, default=16, help="sequences in between")
    parser.add_argument("--steps", type=int, default=150, help="of each phase")
    parser.add_argument("--jitter", type=float, default=0.05, help="of times in a replay; see covey.replay")
    parser.add_argument(
        "--min-survival", type=float, default=0.0, help="where drafters end drafts by themselves at fixed lengths, in a replay"
    )
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if bool(given.trace) != bool(given.costs):
        parser.error("--costs belongs to --trace: give both, or --prompts alone")
    for name in ("low", "high", "steps"):
        if getattr(given, name) < 1:
            parser.error(f"{name}={getattr(given, name)}: {name} must be at least 1")
    try:
        document = tried(given)
        if given.picture:
            draw(document, given.picture)
    except CoveyError as error:
        parser.error(str(error))
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    show(document)


if __name__ == "__main__":
    main()
