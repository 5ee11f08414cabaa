"""`covey record` writes what the target answers, and says how much of it there is."""

from __future__ import annotations

from pathlib import Path

from covey.train.recording import Recording
from tests.bench.samples import line, write
from tests.cli.commands import TOY, run


def test_answers_are_recorded_and_counted() -> None:
    write(Path("p.jsonl"), [line("a"), line("b", "code"), line("c", source="bad_1")])
    result = run("record", "--prompts", "p.jsonl", "--output", "r", *TOY, "--max-tokens", "8", "--leave-out", "bad_*,worse_*")
    texts = list(Recording(Path("r")).texts())
    assert [text.id for text in texts] == ["a", "b"]
    assert result.stdout == f"r: 2 answers, {sum(len(text.answer) for text in texts)} tokens\n"
    assert "1 prompts left out: source" in result.stderr


def test_prompts_that_are_too_long_are_counted() -> None:
    write(Path("p.jsonl"), [line("a"), line("long", text="bird " * 600)])
    result = run("record", "--prompts", "p.jsonl", "--output", "r", *TOY, "--max-tokens", "8")
    assert result.stdout.startswith("r: 1 answers")
    assert "1 prompts left out: too long for the target" in result.stderr


def test_bad_lines_are_refused_or_skipped_as_asked() -> None:
    write(Path("p.jsonl"), [line("a"), "{"])
    arguments = ["record", "--prompts", "p.jsonl", "--output", "r", *TOY, "--max-tokens", "8"]
    assert "p.jsonl, line 2: not JSON" in run(*arguments, code=2).stderr
    result = run(*arguments, "--skip-bad-lines")
    assert "p.jsonl, line 2: not JSON" in result.stderr
    assert result.stdout.startswith("r: 1 answers")


def test_a_recording_becomes_a_corpus_that_drafts() -> None:
    write(Path("p.jsonl"), [line("a", text="the birds"), line("b", text="a covey")])
    run("record", "--prompts", "p.jsonl", "--output", "r", *TOY, "--max-tokens", "60")
    assert run("corpus", "--recording", "r", "--output", "c.safetensors").stdout.startswith("c.safetensors: ")
    plain = run("generate", "the birds", *TOY, "--drafters", "none", "--max-tokens", "60")
    drafted = run("generate", "the birds", *TOY, "--drafters", "suffix:c.safetensors", "--controller", "fixed", "--max-tokens", "60")
    assert drafted.stdout == plain.stdout
    assert "drafted tokens accepted" in drafted.stderr


def test_a_recording_of_other_options_is_refused() -> None:
    write(Path("p.jsonl"), [line("a")])
    run("record", "--prompts", "p.jsonl", "--output", "r", *TOY)
    again = run("record", "--prompts", "p.jsonl", "--output", "r", *TOY, "--max-tokens", "8", code=2)
    assert "max_tokens=128, not 8; name another folder" in again.stderr


def test_prompts_that_the_target_writes_are_recorded() -> None:
    Path("b.jsonl").write_text('{"task": "qa", "beginning": "who "}\n{"task": "code", "beginning": "write a "}\n', "utf-8")
    written = [
        "prompts",
        *TOY,
        "--count",
        "8",
        "--max-tokens",
        "300",
        "--temperature",
        "2",
        "--beginnings",
        "b.jsonl",
        "--output",
        "own.jsonl",
    ]
    result = run(*written)
    count = len(Path("own.jsonl").read_text("utf-8").splitlines())
    assert result.stdout.startswith(f"own.jsonl: {count} prompts (") and "qa" in result.stdout
    run("record", "--prompts", "own.jsonl", "--output", "r", *TOY, "--max-tokens", "8")
    assert len(list(Recording(Path("r")).texts())) == count
