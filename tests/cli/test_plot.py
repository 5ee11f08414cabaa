"""`covey plot` draws what a traced command did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey.drafters.corpus import Corpus
from tests.cli.commands import TOY, error_of, run


def test_a_traced_answer_is_drawn() -> None:
    pytest.importorskip("matplotlib", reason="no pictures without the extra `train`")
    Corpus.of([[5, 6, 7]]).save(Path("c.safetensors"))
    drafters = ["--drafters", "suffix,suffix:c.safetensors"]
    told = run("generate", "the birds", *TOY, *drafters, "--controller", "fixed", "--max-tokens", "60", "--trace", "t.jsonl").stderr
    rounds = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    times = sum(member["asked"] for each in rounds for member in each["members"] if member["name"] == "suffix")
    assert f"suffix was asked {times} times and for " in told
    said = run("plot", "weights", "--trace", "t.jsonl", "--output", "w.png").stdout
    assert said.startswith("w.png: ") and said.endswith(" rounds of 1 requests\n")
    assert Path("w.png").stat().st_size > 5000
    assert "has no such request" in error_of("plot", "weights", "--trace", "t.jsonl", "--output", "w.png", "--requests", "x")


def test_watched_drafts_are_drawn() -> None:
    pytest.importorskip("matplotlib", reason="no pictures without the extra `train`")
    run("generate", "the birds", *TOY, "--drafters", "suffix", "--controller", "watch", "--max-tokens", "60", "--trace", "watched.jsonl")
    said = run("plot", "reliability", "--trace", "watched.jsonl", "--output", "r.png").stdout
    assert said.startswith("watched: error 0.")
    assert Path("r.png").stat().st_size > 5000
