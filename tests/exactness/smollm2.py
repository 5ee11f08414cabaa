"""Ninety prompts of nine tasks, and what transformers' greedy `generate` says to them with SmolLM2-135M in float32: test data.

    python -m tests.exactness.smollm2 dev.jsonl.gz      # tests/data/smollm2_float32.json, from a file in the format of `covey bench`

Ten prompts of each task, shortest first, of the sources that may be passed on: tests/data/README.md names them and their licences.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import dataclass
from pathlib import Path

from covey.prompts import TaskPrompt, read_prompts
from covey.types import Message

DATA = Path(__file__).parent.parent / "data" / "smollm2_float32.json"
SOURCES = (
    "boolq", "ddtp_de-en", "ddtp_fr-en", "debian", "dolly_hhrlhf", "finqa", "gsm8k_train", "mbpp", "pubmedqa", "self_instruct",
    "sgd", "svamp", "taskmaster", "tatqa", "topical_chat", "triviaqa", "webquestions",
)  # fmt: skip
SPARE = "gpteacher_codegen"  # written by another model: only where the others are too few
EACH = 10
TOKENS = 32


@dataclass(frozen=True)
class Case:
    """A prompt as chat turns and as token ids, and the tokens that transformers gave."""

    id: str
    task: str
    messages: list[Message]
    prompt: list[int]
    tokens: list[int]


def cases(each: int = EACH) -> list[Case]:
    """The first prompts of every task, so many of each."""
    found = [Case(**case) for case in json.loads(DATA.read_text("utf-8"))["cases"]]
    return [case for case in found if sum(other.task == case.task for other in found[: found.index(case)]) < each]


def chosen(prompts: list[TaskPrompt]) -> list[TaskPrompt]:
    """Ten of each task, shortest first."""

    def rank(prompt: TaskPrompt) -> tuple[bool, int]:
        return prompt.source == SPARE, sum(len(message["content"]) for message in prompt.messages)

    tasks = sorted({prompt.task for prompt in prompts})
    allowed = sorted((prompt for prompt in prompts if prompt.source in (*SOURCES, SPARE)), key=rank)
    return [prompt for task in tasks for prompt in [p for p in allowed if p.task == task][:EACH]]


def record(prompts: Path) -> None:
    import torch
    import transformers

    from covey.model.load import load_tokenizer
    from covey.model.reference import ReferenceGenerator

    tokenizer, reference = load_tokenizer("smollm2"), ReferenceGenerator("smollm2", "float32")
    recorded = []
    for prompt in chosen(read_prompts(prompts)):
        ids = tokenizer.apply_chat(list(prompt.messages))
        said = {"prompt": ids, "tokens": reference.greedy(ids, TOKENS)}
        recorded.append({"id": prompt.id, "task": prompt.task, "messages": list(prompt.messages), **said})
    versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in recorded)
    head = json.dumps({"model": "smollm2", "dtype": "float32", "versions": versions})
    DATA.write_text(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n', "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    record(parser.parse_args().prompts)
