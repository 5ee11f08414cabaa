"""The commands, run on the toy target as a person runs them: output, exit codes, one-line errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import covey
from covey.cli import app
from covey.cli.reference import markdown
from covey.config import all_options

DOCS = Path(__file__).parent.parent / "docs"
TOY = ["--target", "toy", "--max-model-len", "512"]


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("COVEY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(*arguments: str, code: int = 0, stdin: str = "") -> Result:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exit_code == code, result.output
    return result


def error_of(*arguments: str) -> str:
    """The one line that a failing command leaves on stderr."""
    lines = run(*arguments, code=2).stderr.splitlines()
    assert [line.startswith("covey: error: ") for line in lines] == [True], lines
    return lines[0].removeprefix("covey: error: ")


def test_help_is_quick_and_loads_no_model_library() -> None:
    code = (
        "import sys\nsys.argv = ['covey', '--help']\nfrom covey.cli import main\n"
        "try:\n    main()\nfinally:\n    sys.stderr.write(f\"{sorted({'torch', 'transformers', 'numpy'} & sys.modules.keys())}\")"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]"
    assert "generate" in done.stdout
    assert time.perf_counter() - began < 20  # a guard against hanging, not a measurement


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version(arguments: list[str]) -> None:
    assert run(*arguments).stdout == f"covey {covey.__version__}\n"


def test_no_command_shows_the_help() -> None:
    assert "Commands" in run().stdout


def test_python_m_covey_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "covey", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"covey {covey.__version__}\n"


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
    options = [*TOY, "--max-tokens", "200", "--quiet"]
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
        "dtype": "float64",
        "device": "cpu",
        "max-num-seqs": "2",
        "cache-memory": "0.5",
        "prefill-chunk": "4",
        "threads": "1",
        "trace": str(tmp_path / "trace.jsonl"),
        "drafters": "suffix",
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
    }
    assert {name.replace("-", "_") for name in given} | {"target", "max_model_len", "compile", "ignore_eos"} == set(all_options())
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    run("generate", "the birds", *TOY, *options, "--ignore-eos", "--no-compile")
    rounds = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert max(r["prefilled"] for r in rounds) <= 4
    assert max(r["planned"] for r in rounds) == 1
    assert sum(len(r["tokens"]) for r in rounds) == 12


def write_input(*lines: object) -> None:
    Path("in.jsonl").write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def answers() -> dict[object, dict[str, object]]:
    return {record["id"]: record for record in map(json.loads, Path("out.jsonl").read_text().splitlines())}


FILES = ["generate", "--input", "in.jsonl", "--output", "out.jsonl", *TOY, "--max-tokens", "20"]


def test_file_of_prompts_is_answered_as_single_prompts_are() -> None:
    write_input(
        *({"prompt": f"the birds {i}", "id": i, "task": "t"} for i in range(20)), {"messages": [{"role": "user", "content": "the birds 0"}]}
    )
    result = run(*FILES)
    assert "out.jsonl: 21 prompts answered" in result.stderr
    found = answers()
    assert set(found) == {*range(20), "line-21"}
    assert found[3]["task"] == "t"
    assert (
        found["line-21"]["text"]
        == found[0]["text"]
        == run("generate", "the birds 0", *TOY, "--max-tokens", "20", "-q").stdout.removesuffix("\n")
    )


def test_file_of_prompts_is_taken_up_where_it_was_cut() -> None:
    write_input(*({"prompt": f"the birds {i}", "id": i} for i in range(6)))
    run(*FILES)
    whole = answers()
    lines = Path("out.jsonl").read_text().splitlines(keepends=True)
    Path("out.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    result = run(*FILES)
    assert "3 prompts answered, 3 were already" in result.stderr
    assert Path("out.jsonl").read_text().splitlines(keepends=True)[:3] == lines[:3]
    assert {i: a["text"] for i, a in answers().items()} == {i: a["text"] for i, a in whole.items()}


def test_interrupted_run_can_be_taken_up() -> None:
    """A real Ctrl-C, once the first answers are written: exit code 130, one line, whole answers, and the rest later."""
    write_input(*({"prompt": f"the birds {i}", "id": i} for i in range(120)))
    command = [*FILES, "--ignore-eos", "--max-tokens", "200", "--quiet"]
    with subprocess.Popen([sys.executable, "-m", "covey", *command], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (Path("out.jsonl").exists() and Path("out.jsonl").stat().st_size):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "covey: interrupted\n")
    assert 0 < len(answers()) < 120
    run(*command)
    assert set(answers()) == set(range(120))


def test_bad_lines_are_named_and_the_others_answered() -> None:
    write_input({"prompt": "a"}, "{", {"prompt": "b" * 600}, {"prompt": "c", "sampling": {"logit_bias": {"99999": 1}}}, {"prompt": "d"})
    lines = run(*FILES, code=2).stderr.splitlines()
    named = [line.split(":")[0] for line in lines if line.startswith("in.jsonl, ")]
    assert sorted(named) == ["in.jsonl, line 2", "in.jsonl, line 3", "in.jsonl, line 4"]
    assert lines[-1] == "covey: error: in.jsonl: 3 lines have no answer: 2, 3, 4; mend them and run the same command again"
    assert set(answers()) == {"line-1", "line-5"}


def test_strict_stops_at_a_bad_line_before_anything_runs() -> None:
    write_input({"prompt": "a"}, "{")
    assert error_of(*FILES, "--strict").startswith("in.jsonl, line 2: not JSON")
    assert not Path("out.jsonl").exists()


def test_strict_stops_at_a_prompt_that_the_engine_refuses() -> None:
    write_input({"prompt": "b" * 600})
    assert run(*FILES, "--strict", code=2).stderr.splitlines()[-1].startswith("covey: error: in.jsonl, line 1: prompt has ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate"], "give either a PROMPT or --input FILE"),
        (["generate", "a", "--input", "b"], "give either a PROMPT or --input FILE"),
        (["generate", "--input", "b"], "--input and --output go together"),
        (["generate", "a", "--strict"], "--strict is for --input: leave it out"),
        (["generate", "a", "--raw", "--system", "b"], "--raw gives the prompt as it is"),
        (["generate", "--input", "a", "--output", "b", "--json"], "--json is for a single PROMPT"),
        (["generate", "--input", "missing", "--output", "b"], "missing: no such file or directory"),
        (
            ["generate", "a", "--max-num-seqs", "0"],
            "max_num_seqs=0: max_num_seqs must be a whole number from 1 to 4096 (from --max-num-seqs)",
        ),
        (["generate", "a", "--max-num-seq", "1"], "No such option: --max-num-seq"),
        (["generat", "a"], "No such command 'generat'"),
        (["fetch"], "Missing argument 'name'"),
        (["generate", "a", "--target", "no-such-model"], "target 'no-such-model': there is no such folder or file"),
        (["generate", "a", "--config", "none.toml"], "config='none.toml': no such file or directory"),
    ],
)
def test_mistake_is_one_line_with_a_way_out(arguments: list[str], message: str) -> None:
    assert message in error_of(*arguments)


def test_unknown_drafter_is_refused_by_name() -> None:
    assert "'sufix'" in run("generate", "a", *TOY, "--drafters", "sufix", code=2).stderr


def test_fault_is_one_line_unless_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("something\nbroke")

    monkeypatch.setattr("covey.cli.startup.prepare", broken)
    assert error_of("generate", "a", *TOY).startswith("RuntimeError: something broke (a fault of covey")
    monkeypatch.setenv("COVEY_DEBUG", "1")
    result = CliRunner().invoke(app, ["generate", "a", *TOY])
    assert isinstance(result.exception, RuntimeError)


def test_interruption_is_one_line_and_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("covey.cli.startup.prepare", interrupted)
    assert run("generate", "a", *TOY, code=130).stderr == "covey: interrupted\n"


def test_settings_of_a_file_reach_the_command() -> None:
    Path("covey.toml").write_text('target = "toy"\nmax_model_len = 512\n[sampling]\nmax_tokens = 5\n')
    (line,) = run("generate", "the birds", "--json").stdout.splitlines()
    assert len(json.loads(line)["token_ids"]) == 5


def test_chat_remembers_and_forgets() -> None:
    said = "the birds\nand then\n/clear\nthe birds\n/what\n/exit\nnever said\n"
    result = run("chat", *TOY, "--max-tokens", "10", "--quiet", stdin=said)
    with covey.LLM("toy", max_model_len=512) as llm:
        params = covey.SamplingParams(max_tokens=10)
        first = {"role": "user", "content": "the birds"}
        one = llm.generate([[first]], params)[0].text
        two = llm.generate([[first, {"role": "assistant", "content": one}, {"role": "user", "content": "and then"}]], params)[0].text
    assert result.stdout == f"{one}\n{two}\n{one}\n"
    assert "forgotten" in result.stderr
    assert "unknown command '/what'" in result.stderr


def test_chat_goes_on_after_a_message_that_is_too_long() -> None:
    result = run("chat", *TOY, "--max-tokens", "5", stdin="z" * 600 + "\nthe birds\n")
    assert "covey: error: prompt has " in result.stderr
    assert len(result.stdout.splitlines()) >= 1


@pytest.mark.parametrize(("flag", "value"), [("--n", "2"), ("--logprobs", "1")])
def test_chat_and_demo_refuse_what_they_cannot_show(flag: str, value: str) -> None:
    message = f"covey: error: {flag[2:]}={value}: "
    assert message in run("chat", *TOY, flag, value, stdin="the birds\n").stderr
    assert message in run("demo", *TOY, flag, value, code=2).stderr


def test_chat_shows_drafts_and_a_line_of_figures() -> None:
    result = run("chat", *TOY, "--max-tokens", "200", "--show-drafts", stdin="the birds\n")
    assert "{+" in result.stdout
    assert "drafted tokens accepted" in result.stderr


def test_demo_answers_and_ends_with_a_table() -> None:
    result = run("demo", "--target", "toy")
    for kind in ("summary", "code edit", "chat", "question"):
        assert f"{kind} " in result.stdout.split("What speculation did")[1]
    assert "acceptance" in result.stdout


def test_doctor_finds_that_all_fits() -> None:
    report = json.loads(run("doctor", *TOY, "--drafters", "suffix", "--json").stdout)
    assert report["problems"] == []
    assert report["drafters"] == [{"name": "suffix", "fits": True}]
    with covey.LLM("toy", drafters=["suffix"], max_model_len=512) as llm:
        taken = llm.memory_plan
        assert report["target"]["model"]["vocab_size"] == llm.target.vocab_size
    assert (report["memory"]["max_tokens"], report["memory"]["cache_bytes"]) == (taken.max_tokens, taken.cache_bytes)
    assert report["settings"]["target"] == {"value": "toy", "from": "--target"}


def test_doctor_says_what_does_not_fit_and_why() -> None:
    result = run("doctor", *TOY, "--drafters", "suffix,sufix", "--max-model-len", "9999", code=2)
    assert "ok  suffix" in result.stdout
    assert "NO  sufix: " in result.stdout
    assert "does not fit: max_model_len=9999: toy handles 4096 positions" in result.stdout
    assert result.stderr.count("\n") == 1


def test_doctor_reports_a_target_that_does_not_load() -> None:
    report = json.loads(run("doctor", "--target", "no-such-model", "--json", code=2).stdout)
    assert not report["target"]["fits"]
    assert "no such folder" in report["target"]["why"]


def test_bench_ends_with_one_json_document() -> None:
    prompts = [{"id": f"p{i}", "task": "qa", "messages": [{"role": "user", "content": f"the birds {i}"}]} for i in range(2)]
    Path("p.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    result = run("bench", "--prompts", "p.jsonl", "--target", "toy", "--max-tokens", "8", "--json", "result.json")
    document = json.loads(result.stdout.splitlines()[-1])
    assert document["benchmark"] == "covey bench"
    assert json.loads(Path("result.json").read_text()) == document


def test_reference_in_the_documentation_is_current() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == markdown(), "docs/cli.md is out of date: run `make docs`"


def test_reference_names_every_setting() -> None:
    text = markdown()
    assert [option.flag for option in all_options().values() if f"`{option.flag}`" not in text] == []
