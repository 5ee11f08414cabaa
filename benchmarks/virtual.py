"""What methods come to in virtual time: passes and guesses take what a machine was measured to take, whatever this one is doing.

    python benchmarks/virtual.py --prompts dev.jsonl.gz --methods suffix:smollm2,suffix:smollm2+nested:smollm2 --limit 4 --json virtual.json

Models, drafters, votes and controllers are real, and the texts are; only the clock is not. A run comes out the same each time, beside
anything else, so that a change of who is asked, or of how long drafts are, can be told from noise. What takes Python's own time (a
vote, a controller) is not counted: for that there is live.py.

Methods are drafters as in `covey bench`, with the default controller. Costs are of a CPU with two cores at 2.3 GHz, SmolLM2-135M in
bfloat16, uncompiled: a pass by its tokens, and --guess milliseconds for a pass of a nested draft. Prints, of each method, tokens a
second, prompts and all, milliseconds for a token once its prompt is read, tokens and drafted tokens of a pass, the share of drafting,
and how often each member was asked.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy


class Clock:
    """Stands in for time.perf_counter, also where that is a default: it is set before covey is imported."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


clock = Clock()
time.perf_counter = clock

from rich.progress import track  # noqa: E402

from covey import LLM, SamplingParams, provenance  # noqa: E402
from covey.drafters.suffix import SuffixDrafter  # noqa: E402
from covey.model.exits import ExitRunner  # noqa: E402
from covey.model.runner import ModelRunner  # noqa: E402
from covey.prompts import TaskPrompt, file_digest, read_prompts  # noqa: E402
from covey.types import Round  # noqa: E402

# Seconds of a pass by its tokens, those for a sequence more, and for how far a token looks back.
PASSES = {1: 0.0334, 4: 0.0335, 5: 0.0339, 6: 0.0369, 8: 0.0414, 10: 0.0442, 12: 0.047, 16: 0.052, 20: 0.058, 24: 0.064}
PASSES |= {32: 0.075, 64: 0.116, 256: 0.39, 1024: 1.5}
A_SEQUENCE, A_REACH = 3e-4, 9e-7
A_DRAFTED_TOKEN, A_DRAFTED_SEQUENCE, A_LOOK = 8e-5, 2e-4, 2e-5  # of a nested draft's pass, beyond the first; of the suffix drafter


def take(what: type, method: str, seconds: Any) -> None:
    """Let a method take so many seconds of virtual time."""
    runs = getattr(what, method)

    def taking(self: Any, *given: Any, **named: Any) -> Any:
        clock.now += seconds(*given, **named)
        return runs(self, *given, **named)

    setattr(what, method, taking)


def set_costs(guess: float) -> None:
    tokens, seconds = list(PASSES), list(PASSES.values())

    def a_pass(feeds: list[Any]) -> float:
        count, reach = sum(len(feed.tokens) for feed in feeds), sum(feed.start * len(feed.tokens) for feed in feeds)
        return float(numpy.interp(count, tokens, seconds)) + reach * A_REACH + (len(feeds) - 1) * A_SEQUENCE

    def a_guess(stage: int, feeds: list[Any], *rest: Any) -> float:
        count = sum(len(feed.tokens) for feed in feeds)
        return guess + (count - 1) * A_DRAFTED_TOKEN + (len(feeds) - 1) * A_DRAFTED_SEQUENCE

    take(ModelRunner, "_forward", a_pass)
    take(ExitRunner, "run", a_guess)
    take(SuffixDrafter, "_guess", lambda draft: A_LOOK)


def chosen(args: argparse.Namespace) -> list[TaskPrompt]:
    """Some prompts of each task, whose turns they take."""
    every = read_prompts(args.prompts)
    by_task = [[e for e in every if e.task == task][args.skip :][: args.limit] for task in dict.fromkeys(e.task for e in every)]
    return [prompt for turn in itertools.zip_longest(*by_task) for prompt in turn if prompt is not None]


def measure(method: str, args: argparse.Namespace) -> dict[str, Any]:
    """One method over all prompts."""
    rounds: list[Round] = []
    with LLM(args.target, drafters=method.split("+"), max_num_seqs=args.batch, max_model_len=args.max_model_len, prefix_reuse=False) as llm:
        asked = [llm.tokenizer.apply_chat([dict(message) for message in prompt.messages]) for prompt in chosen(args)]
        asked = [ids for ids in asked if len(ids) + args.max_tokens < args.max_model_len]
        llm.observe(lambda told: rounds.append(told) if told.tokens and not told.prefilled else None)
        params = SamplingParams(max_tokens=args.max_tokens, temperature=args.temperature, seed=1)
        began = clock.now
        done = llm.generate(asked, params, progress=False)
        whole = clock.now - began
    tokens, seconds = sum(len(told.tokens) for told in rounds), sum(map(_seconds, rounds))
    return {
        "tokens_a_second": sum(len(completion.token_ids) for completion in done) / whole,
        "ms_a_token": 1000 * seconds / tokens,
        "rounds": len(rounds),
        "tokens_a_round": tokens / len(rounds),
        "drafted_a_round": sum(told.sent for told in rounds) / len(rounds),
        "drafting": sum(told.step_draft_seconds * _share(told) for told in rounds) / seconds,
        "asked": dict(sum((Counter({member.name: member.asked for member in told.members}) for told in rounds), Counter())),
    }


def _seconds(told: Round) -> float:
    return (told.step_draft_seconds + told.step_verify_seconds + told.step_other_seconds) * _share(told)


def _share(told: Round) -> float:
    """Of a step: what others read of their prompts in it is theirs."""
    return told.fed / told.step_tokens


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--methods", default="suffix:smollm2,suffix:smollm2+nested:smollm2")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--limit", type=int, default=4, help="prompts of each task")
    parser.add_argument("--skip", type=int, default=0, help="prompts of each task to leave out first")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--max-model-len", type=int, default=1024)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--guess", type=float, default=2.4, help="milliseconds of a nested draft's pass")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    set_costs(args.guess / 1000)
    found = {}
    for method in track(args.methods.split(","), description="methods"):
        found[method] = measure(method, args)
        print(json.dumps({"method": method, **found[method]}))
    if args.json:
        settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
        about = {**provenance.about(), "prompts_sha256": file_digest(args.prompts), "settings": settings}
        args.json.write_text(json.dumps({**about, "methods": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
