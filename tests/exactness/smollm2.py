"""Records what transformers' greedy `generate` says with SmolLM2-135M in float32, as test data.

    python -m tests.exactness.smollm2                                   # tests/data/smollm2_float32.json, our own prompts
    python -m tests.exactness.smollm2 --prompts dev.jsonl.gz --limit 10 --tokens 64 --output OUT.json

With --prompts, a file in the format of `covey bench`, covey is run on the same prompts, plainly and with each drafter,
and the differences are written, too. Prompts of a file are recorded by their ids alone.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

DATA = Path(__file__).parent.parent / "data" / "smollm2_float32.json"
PROMPTS = {
    "chat": "What is a good way to spend a rainy Sunday at home?",
    "code": "Write a Python function that returns the sum of the squares of a list of numbers.",
    "dialogue": "I would like to book a table for four people tomorrow evening. What do you need to know?",
    "finance": "Revenue was 120 million in 2021 and 150 million in 2022. By how many percent did revenue grow?",
    "math": "A baker has 24 rolls and sells a third of them. Then she bakes 10 more. How many rolls does she have?",
    "qa": "Which planet of the solar system is the largest, and how many moons does it have?",
    "rag": "Passage: The grey partridge lives in groups of six to fifteen birds, known as coveys. Question: What is a group of "
    "grey partridges called?",
    "summarization": "Summarise in one sentence: The town council met on Monday and agreed to repair the old bridge. Work will begin "
    "in May and is expected to take four months. During that time traffic will use the northern road.",
    "translation": "Translate to French: The library opens at nine in the morning.",
}


def versions() -> dict[str, str]:
    import torch
    import transformers

    return {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}


def record_own() -> None:
    from covey.model.load import load_tokenizer
    from covey.model.reference import ReferenceGenerator

    tokenizer, reference = load_tokenizer("smollm2"), ReferenceGenerator("smollm2", "float32")
    cases = []
    for task, text in PROMPTS.items():
        ids = tokenizer.apply_chat([{"role": "user", "content": text}])
        cases.append({"task": task, "prompt": ids, "tokens": reference.greedy(ids, 32)})
    DATA.write_text(json.dumps({"model": "smollm2", "dtype": "float32", "versions": versions(), "cases": cases}) + "\n")


def record_file(prompts: Path, limit: int, tokens: int, output: Path) -> None:
    from covey import LLM, SamplingParams
    from covey.model.reference import ReferenceGenerator
    from covey.prompts import read_prompts

    chosen: list[tuple[str, str, list[dict[str, str]]]] = []
    for prompt in read_prompts(prompts):
        if sum(task == prompt.task for _, task, _ in chosen) < limit:
            chosen.append((prompt.id, prompt.task, list(prompt.messages)))
    reference = ReferenceGenerator("smollm2", "float32")
    differing: dict[str, list[str]] = {}
    with LLM("smollm2", drafters=["suffix"], dtype="float32", max_model_len=4096) as llm:
        ids = [llm.encode(messages) for _, _, messages in chosen]
        expected = [reference.greedy(i, tokens) for i in ids]
        for method, length in (("plain", 0), ("suffix, k=4", 4), ("suffix, k=8", 8)):
            done = llm.generate(ids, SamplingParams(max_tokens=tokens, speculation={"num_tokens": length}))
            differing[method] = [c[0] for c, d, e in zip(chosen, done, expected, strict=True) if d.token_ids != e]
    document = {
        "model": "smollm2", "dtype": "float32", "versions": versions(), "prompts": len(ids), "tokens": tokens,
        "tokens_compared": sum(map(len, expected)), "ids": [c[0] for c in chosen], "differing": differing,
    }  # fmt: skip
    output.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--limit", type=int, default=10, help="prompts of each task")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.prompts is None:
        record_own()
    else:
        record_file(arguments.prompts, arguments.limit, arguments.tokens, arguments.output)


if __name__ == "__main__":
    main()
