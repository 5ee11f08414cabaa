"""`covey generate` with one prompt: the text of the Python API, and every option."""

from __future__ import annotations

import json
from pathlib import Path

import covey
from covey.cli.options import ANSWERING
from tests.cli.commands import TOY, run


def test_generate_prints_the_text_of_the_python_api() -> None:
    with covey.LLM("toy", max_model_len=512) as llm:
        (expected,) = llm.generate([[{"role": "user", "content": "the birds"}]], covey.SamplingParams(max_tokens=40))
    result = run("generate", "the birds", *TOY, "--max-tokens", "40")
    assert result.stdout == expected.text + "\n"
    assert "memory plan" in result.stderr
    assert f"{len(expected.token_ids)} tokens in " in result.stderr
    assert "mean accepted length" in result.stderr


def test_generate_raw_leaves_the_template_out_and_quiet_the_figures() -> None:
    with covey.LLM("toy", max_model_len=512) as llm:
        (expected,) = llm.generate("the birds", covey.SamplingParams(max_tokens=40))
    result = run("generate", "the birds", *TOY, "--max-tokens", "40", "--raw", "--quiet")
    assert (result.stdout, result.stderr) == (expected.text + "\n", "")


def test_generate_reads_standard_input() -> None:
    given = run("generate", "the birds", *TOY, "--quiet").stdout
    assert run("generate", "-", *TOY, "--quiet", stdin="the birds").stdout == given


def test_generate_gives_the_same_text_with_and_without_drafts() -> None:
    options = [*TOY, "--temperature", "1", "--seed", "3", "--quiet"]
    plain = run("generate", "the birds", *options, "--drafters", "none").stdout
    assert run("generate", "the birds", *options, "--drafters", "suffix").stdout == plain
    assert run("generate", "the birds", *options, "--num-speculative-tokens", "0").stdout == plain


def test_generate_show_drafts_marks_them_in_a_pipe() -> None:
    options = [*TOY, "--controller", "fixed", "--max-tokens", "200", "--quiet"]
    marked = run("generate", "the birds", *options, "--show-drafts").stdout
    assert "{+" in marked
    assert "[-" in marked


def test_generate_json_holds_every_answer() -> None:
    lines = run("generate", "the birds", *TOY, "--n", "3", "--temperature", "1", "--seed", "1", "--json").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["index"] for record in records] == [0, 1, 2]
    assert len({record["text"] for record in records}) == 3
    assert all(record["stats"]["num_tokens"] == len(record["token_ids"]) for record in records)


def test_generate_prints_logprobs_as_json() -> None:
    (line,) = run("generate", "the birds", *TOY, "--logprobs", "2", "--max-tokens", "4").stdout.splitlines()
    assert [len(scored["top"]) for scored in json.loads(line)["logprobs"]] == [2, 2, 2, 2]


def test_every_option_reaches_the_engine_and_the_request(tmp_path: Path) -> None:
    given = {
        "num-speculative-tokens": "2",
        "controller": "fixed",
        "pipeline": "overlapped",
        "drafter-threads": "1",
        "drafter-timeout": "30",
        "dtype": "float64",
        "device": "cpu",
        "max-num-seqs": "2",
        "cache-memory": "0.5",
        "prefill-chunk": "4",
        "threads": "1",
        "collective-state": str(tmp_path / "state.json"),
        "trace": str(tmp_path / "trace.jsonl"),
        "drafters": "suffix,grammar",
        "top-k": "9",
        "top-p": "0.9",
        "min-p": "0.01",
        "presence-penalty": "0.1",
        "frequency-penalty": "0.1",
        "repetition-penalty": "1.1",
        "logit-bias": "5=1.5",
        "seed": "1",
        "temperature": "0.5",
        "stop-token-ids": "3",
        "max-tokens": "12",
        "min-tokens": "2",
        "speculation": "num_tokens=1",
        "stop": "zzz",
        "n": "1",
        "logprobs": "0",
        "label": "birds",
        "branches": "off",
    }
    unsaid = {"target", "max_model_len", "compile", "prefix_reuse", "ignore_eos", "grammar"}
    assert {name.replace("-", "_") for name in given} | unsaid == set(ANSWERING)
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    run("generate", "the birds", *TOY, *options, "--ignore-eos", "--no-compile", "--no-prefix-reuse")
    rounds = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert json.loads((tmp_path / "state.json").read_text())["members"] == ["suffix", "grammar"]
    assert {r["pool_limit"] for r in rounds} == {2}
    assert max(r["prefilled"] for r in rounds) <= 4
    assert max(r["planned"] for r in rounds) == 1
    assert not any(r["branches"] for r in rounds)
    assert sum(len(r["tokens"]) for r in rounds) == 12


def test_a_grammar_given_as_a_file_holds_for_the_answer(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"bird": {"enum": ["quail"]}}, "required": ["bird"]}))
    given = ["--grammar", f"json_schema:{schema}", "--drafters", "suffix,grammar", "--controller", "fixed"]
    assert json.loads(run("generate", "the birds", *TOY, *given, "--quiet").stdout)["bird"] == "quail"
