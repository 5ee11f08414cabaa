"""What the worst drafters cost: one that drafts random tokens and calls them certain, and one that takes its time.

    python benchmarks/adversaries.py --prompts dev.jsonl.gz --batch 1,4,16 --json adversaries.json

Every group of prompts is answered plainly and with each drafter in turn, under the controller that covey uses by itself, on one engine for
each drafter. The figures are medians of paired ratios to plain decoding, with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from pathlib import Path
from typing import Any

from covey import LLM, SamplingParams, provenance
from covey.bench.pairs import paired_ratio
from covey.drafters import SuffixDrafter
from covey.prompts import file_digest, read_prompts
from covey.types import Draft, Drafter, Prompt, Sequence


class Random(Drafter):
    """Random tokens, every one of them called certain."""

    name = "random"

    def __init__(self) -> None:
        self._chooser = random.Random(0)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        return [
            Draft(len(s.tokens), s.prefix_id, tuple(self._chooser.randrange(1000) for _ in range(k)), (1.0,) * k, self.name)
            for s, k in zip(sequences, lengths, strict=True)
        ]


class Slow(SuffixDrafter):
    """A good drafter that sleeps through two passes of the target before it says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "slow"

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        time.sleep(0.06)
        return super().propose(sequences, lengths)


def measure(given: argparse.Namespace, drafter: Drafter, prompts: list[Prompt]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with LLM(given.target, drafters=[drafter], max_num_seqs=max(given.batch), prefix_reuse=False) as llm:
        for batch in given.batch:
            groups = [prompts[at : at + batch] for at in range(0, len(prompts) - batch + 1, batch)][: given.groups]
            _ratio(given, llm, groups[0], 0)  # warms up
            turns = range(given.repetitions)
            table = [[_ratio(given, llm, group, turn + at) for turn in turns] for at, group in enumerate(groups)]
            found[str(batch)] = ratio = {"ratios": table, **(paired_ratio(table) or {})}
            print(
                f"{drafter.name:>8} batch {batch:2}: {ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}] of plain", flush=True
            )
    return found


def _ratio(given: argparse.Namespace, llm: LLM, group: list[Prompt], turn: int) -> float:
    """Tokens a second with the drafter over plain decoding's, one after the other, in an order that changes."""
    speeds = {}
    for drafts in (True, False) if turn % 2 else (False, True):
        off: dict[str, int] = {} if drafts else {"num_tokens": 0}
        params = SamplingParams(max_tokens=given.max_tokens, temperature=0, ignore_eos=True, speculation=off)
        began = time.perf_counter()
        done = llm.generate(group, params, progress=False)
        speeds[drafts] = sum(len(each.token_ids) for each in done) / (time.perf_counter() - began)
    return speeds[True] / speeds[False]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--batch", default="1,4,16")
    parser.add_argument("--limit", type=int, default=6, help="prompts of a task")
    parser.add_argument("--groups", type=int, default=12, help="most groups of prompts of a batch size")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    given.batch = [int(size) for size in given.batch.split(",")]
    every = read_prompts(given.prompts)
    by_task = [[e for e in every if e.task == task][: given.limit] for task in dict.fromkeys(e.task for e in every)]
    turns = [p for turn in itertools.zip_longest(*by_task) for p in turn if p is not None]
    prompts: list[Prompt] = [[dict(message) for message in prompt.messages] for prompt in turns]
    document = {
        **provenance.about(),
        "prompts_sha256": file_digest(given.prompts),
        "results": {each.__name__.lower(): measure(given, each(), prompts) for each in (Random, Slow)},
    }
    given.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
