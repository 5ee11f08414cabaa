"""`covey train nested`, `covey calibrate` and drafting with what they made, as a user would run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.samples import line, write
from tests.cli.commands import run

CPU = ("--device", "cpu", "--dtype", "float32")


@pytest.fixture
def prompts() -> None:
    write(Path("train.jsonl"), [line(f"p{i}", ("a", "b")[i % 2], text=f"bird {i}") for i in range(90)])
    write(Path("dev.jsonl"), [line(f"d{i}", ("a", "b")[i % 2], text=f"covey {i}") for i in range(8)])


def test_record_train_calibrate_draft(prompts, tiny):
    target = ("--target", str(tiny("llama", layers=4)), *CPU)
    run("record", "--prompts", "train.jsonl", "--output", "r", *target, "--max-tokens", "12", "--top", "4", "--hidden")
    layers = ("--kind", "self", "--layers", "2", "--exits", "1,2", "--head-size", "64", "--unroll", "2")
    trained = run("train", "nested", "--recording", "r", "--output", "d", *target, *layers, "--steps", "4", "--evaluate-every", "2")
    assert trained.stdout.startswith("d: agreement with the target on held-out text: exit 1 ")
    short = ("--limit", "4", "--max-tokens", "8", "--longest", "2", "--repetitions", "1", "--tried", "1", "--temperatures", "0")
    calibrated = run("calibrate", "--draft", "d", "--prompts", "dev.jsonl", "--output", "c", *target, *short)
    shown = calibrated.stdout.splitlines()
    assert shown[0].startswith("plain ")
    assert sum(line.endswith("chosen") for line in shown) == 1
    assert json.loads(Path("c/profile.json").read_text())["settings"]["longest"] == 2
    plain = run("generate", "the birds", *target, "--drafters", "none", "--max-tokens", "12")
    assert run("generate", "the birds", *target, "--drafters", "nested:d", "--max-tokens", "12").stdout == plain.stdout


def test_a_specialist_is_trained_and_drafts(prompts, tiny):
    pytest.importorskip("peft", reason="needs the extra `train`")
    target = ("--target", str(tiny("llama", layers=4)), *CPU)
    run("record", "--prompts", "train.jsonl", "--output", "r", *target, "--max-tokens", "12", "--top", "4", "--hidden")
    run("train", "nested", "--recording", "r", "--output", "d", *target, "--kind", "self", "--layers", "1", "--exits", "1", "--steps", "2")
    fine = ("--draft", "d", "--tasks", "a", "--rank", "2", "--unroll", "2", "--steps", "2", *CPU)
    tuned = run("train", "specialist", "--recording", "r", "--output", "d-a", *fine)
    assert tuned.stdout.startswith("d-a: agreement with the target on held-out text of a: exit 1 ")
    assert "before: loss " in tuned.stderr
    plain = run("generate", "the birds", *target, "--drafters", "none", "--max-tokens", "12")
    assert run("generate", "the birds", *target, "--drafters", "suffix,nested:d-a", "--max-tokens", "12").stdout == plain.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("train", "nested", "--recording", "r", "--output", "d", "--loss", "hard"), "loss='hard': loss must be one of both, soft, distil"),
        (("train", "nested", "--recording", "r", "--output", "d", "--exits", "a"), "exits='a': exits must be depths"),
        (("calibrate", "--draft", "d", "--prompts", "p", "--temperatures", "warm"), "temperatures='warm': temperatures must be numbers"),
        (("calibrate", "--draft", "d", "--prompts", "p", "--target", "toy"), "no config.json of a nested draft"),
        (("calibrate", "--draft", "d", "--prompts", "p", "--batch", "0"), "batch=0: batch must be at least 1"),
        (("record", "--prompts", "p", "--output", "r", "--text", "poems"), "text='poems': text must be one of"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, why):
    assert why in run(*arguments, code=2).stderr
