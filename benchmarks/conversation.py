"""Time to the first token in a conversation about a text, with rows kept warm and without; what copying a prefix costs, and scattered rows.

    python benchmarks/conversation.py --repetitions 2 --json conversation.json

The same conversation is held with both in turn, on one engine each, forgotten in between. The last line is the result as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

from covey import LLM, SamplingParams, provenance
from covey.model.runner import Feed

PLACES = ("old mill", "stone bridge", "pine wood", "small lake")
DIARY = [
    f"On day {day} they walked {3 + day * 7 % 11} miles along the river, saw {day * 5 % 7} herons, and camped near the {PLACES[day % 4]}."
    for day in range(40)
]
QUESTIONS = ("Where did they camp on day 5?", "And on which day did they walk the farthest?", "Write two sentences about the herons.")
SIZES = (64, 512, 1536)  # positions that are copied, and that a step looks back at


def converse(llm: LLM, days: int, max_tokens: int) -> list[dict[str, Any]]:
    """The turns of one conversation."""
    messages, turns = [{"role": "system", "content": "Answer from this diary. " + " ".join(DIARY[:days])}], []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        (done,) = llm.generate([messages], SamplingParams(max_tokens=max_tokens))
        turns.append(
            {
                "prompt_tokens": len(llm.encode(messages)),
                "cached_tokens": done.stats.num_cached_tokens,
                "first_token_seconds": done.stats.first_token_seconds,
                "tokens": done.token_ids,
            }
        )
        messages.append({"role": "assistant", "content": done.text})
    return turns


def parts(llm: LLM) -> dict[str, Any]:
    """Seconds to copy so many positions, and of a step of one token over as many in a run of slots and in a row that is none."""
    runner, found = llm.target.runner, {}
    for size in SIZES:
        rows = [runner.rows.open(-1 - number) for number in range(2)]
        for row in rows:
            runner.rows.reserve(row, size + 1)
        here, there = (runner.rows.span(row, 0, size) for row in rows)
        taken: dict[str, list[float]] = {"copy": [], "run": [], "scattered": []}
        for _ in range(15):
            for name, seconds in taken.items():
                rows[0].contiguous = name != "scattered"
                began = time.perf_counter()
                if name == "copy":
                    runner.layers.copy(here, there)
                else:
                    runner.forward([Feed(rows[0], size, [5], 1)])
                seconds.append(time.perf_counter() - began)
        found[str(size)] = {name: min(seconds) for name, seconds in taken.items()}  # the machine may be busy with other work
        for row in rows:
            runner.rows.close(row.id)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--days", type=int, default=24, help="sentences of the text, at most 40")
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    document: dict[str, Any] = {**provenance.about(), "warm": [], "cold": []}
    llms = {name: LLM(given.target, dtype=given.dtype, max_model_len=2048, prefix_reuse=name == "warm") for name in ("cold", "warm")}
    for llm in llms.values():
        llm.generate("The first pass is no measure.", SamplingParams(max_tokens=8))
    for _ in range(given.repetitions):
        for name, llm in llms.items():
            document[name].append(converse(llm, given.days, given.max_tokens))
            llm.served().engine.scheduler.ended.clear()
    document["parts"] = parts(llms["warm"]) if given.target != "toy" else {}
    for llm in llms.values():
        llm.close()
    turns = range(len(QUESTIONS))
    document["summary"] = {
        "same_text": [
            document["warm"][r][t]["tokens"] == document["cold"][r][t]["tokens"] for r in range(given.repetitions) for t in turns
        ],
        "cached_tokens": [document["warm"][0][t]["cached_tokens"] for t in turns],
        "prompt_tokens": [document["warm"][0][t]["prompt_tokens"] for t in turns],
        **{name: [median(each[t]["first_token_seconds"] for each in document[name]) for t in turns] for name in llms},
    }
    if given.json is not None:
        given.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(json.dumps(document["summary"]))


if __name__ == "__main__":
    main()
