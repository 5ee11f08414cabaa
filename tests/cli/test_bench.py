"""`covey bench` ends with its result."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import run


def test_bench_ends_with_one_json_document() -> None:
    prompts = [{"id": f"p{i}", "task": "qa", "messages": [{"role": "user", "content": f"the birds {i}"}]} for i in range(2)]
    Path("p.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    result = run("bench", "--prompts", "p.jsonl", "--target", "toy", "--max-tokens", "8", "--json", "result.json")
    document = json.loads(result.stdout.splitlines()[-1])
    assert document["benchmark"] == "covey bench"
    assert json.loads(Path("result.json").read_text()) == document
