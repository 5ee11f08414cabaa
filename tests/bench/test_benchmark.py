"""Whole runs on the toy target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from covey.bench import BenchSettings, benchmark, run
from covey.bench.methods import CoveyMethod
from covey.drafters.corpus import Corpus
from covey.errors import CoveyError
from tests.bench.samples import line, write

TOKENS = 24


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    lines = [line(f"{task}{i}", task, f"the {word} bird sings over the hill") for task in ("qa", "code") for i, word in enumerate("abcd")]
    return write(tmp_path / "prompts.jsonl", lines)


def settings(prompts: Path, **more: Any) -> BenchSettings:
    return BenchSettings(prompts=prompts, **{"target": "toy", "max_tokens": TOKENS, "methods": ("plain", "fixed-4"), **more})


def rows(document: dict[str, Any], task: str = "all") -> dict[tuple[int, str], dict[str, Any]]:
    return {(row["batch"], row["method"]): row for row in document["summary"] if row["task"] == task}


def test_a_run_gives_figures_for_each_batch_method_and_task(prompts: Path) -> None:
    document = run(settings(prompts, batch=(1, 4), repetitions=2), progress=False)
    assert len(document["summary"]) == 2 * 2 * 3
    assert len(document["measurements"]) == (8 + 2) * 2 * 2
    for (batch, method), row in rows(document).items():
        own = [m for m in document["measurements"] if (m["batch"], m["method"]) == (batch, method)]
        assert row["tokens"] == sum(sum(m["tokens"]) for m in own) <= 2 * 8 * TOKENS
        assert row["tokens_per_second"] > 0
        assert row["decode_tokens_per_second"] > 0
        assert sum(row["time_shares"].values()) == pytest.approx(1.0)
        assert (row["acceptance_rate"] is None) == (method == "plain")
    assert rows(document)[1, "fixed-4"]["speedups"]["plain"]["end_to_end"]["pairs"] == 16


def test_the_text_does_not_change(prompts: Path) -> None:
    document = run(settings(prompts, batch=(1, 4), temperature=0.7, methods=("plain", "fixed-1", "fixed-8")), progress=False)
    for (_, method), row in rows(document).items():
        if method != "plain":
            assert row["texts_against_plain"]["differing_prompts"] == 0
            assert row["texts_against_plain"]["tokens_compared"] == row["tokens"]
    assert [row["differing_prompts"] for row in document["plain_across_batches"]] == [0]


def test_plain_never_drafts_and_fixed_keeps_its_cap(prompts: Path) -> None:
    document = run(settings(prompts, methods=("plain", "fixed-2", "fixed-6"), max_tokens=64), progress=False)
    assert rows(document)[1, "plain"]["drafts"] == 0
    assert rows(document)[1, "fixed-2"]["drafts"] > 0
    assert len(rows(document)[1, "fixed-2"]["accepted_histogram"]) <= 3
    assert 3 < len(rows(document)[1, "fixed-6"]["accepted_histogram"]) <= 7


def test_a_drafter_may_stand_in_the_name_of_a_method(prompts: Path) -> None:
    document = run(settings(prompts, methods=("plain", "suffix:fixed-4"), drafters=()), progress=False)
    assert document["methods"]["suffix:fixed-4"]["drafters"] == ["suffix"]
    with pytest.raises(CoveyError, match=r"methods='fixed-4'.*no drafters"):
        run(settings(prompts, drafters=()), progress=False)


def test_a_collective_may_stand_in_the_name_of_a_method(prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Corpus.of([[5, 6, 7, 8]] * 3).save(Path("toy.safetensors"))
    document = run(settings(prompts, methods=("plain", "suffix+suffix:toy.safetensors:fixed-4"), drafters=()), progress=False)
    assert document["methods"]["suffix+suffix:toy.safetensors:fixed-4"]["drafters"] == ["suffix+suffix:corpus"]


def test_the_document_says_what_it_is_of(prompts: Path) -> None:
    document = run(settings(prompts, tasks=("code",), limit=3), progress=False)
    assert document["versions"]["covey"]
    assert document["machine"]["cpu"]
    assert document["settings"]["max_tokens"] == TOKENS
    assert document["prompts"]["by_task"] == {"code": 3}
    assert document["methods"]["plain"]["dtype"] == document["dtype"] == "float64"
    assert {"command", "commit", "torch_threads", "warmup_seconds", "load_average"} <= document.keys()


def test_files_are_written_whole_and_the_journal_goes(prompts: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "results" / "out.json", tmp_path / "results" / "out.md"
    document = run(settings(prompts, json=out, markdown=table), progress=False)
    assert json.loads(out.read_text()) == json.loads(json.dumps(document, allow_nan=False))
    assert "| fixed-4 |" in table.read_text()
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.json", "out.md"]


def test_a_run_that_was_cut_short_is_taken_up_again(prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    answer = CoveyMethod.answer
    left = 2 + 7  # warming up, three whole groups, and one method of the fourth

    def interrupted(self: CoveyMethod, prompts: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return answer(self, prompts)

    monkeypatch.setattr(CoveyMethod, "answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings(prompts, json=out), progress=False)
    assert not out.exists()
    held = [json.loads(text) for text in (tmp_path / "out.json.journal").read_text().splitlines()[1:]]
    assert len(held) == 7

    with pytest.raises(CoveyError, match="max_tokens"):
        run(settings(prompts, json=out, max_tokens=TOKENS + 1), progress=False)

    left = 1000
    document = run(settings(prompts, json=out), progress=False)
    assert 1000 - left == 2 + 5 * 2
    seconds = {(m["group"], m["method"]): m["seconds"] for m in document["measurements"]}
    assert all(seconds[m["group"], m["method"]] == m["seconds"] for m in held[:6])
    assert not (tmp_path / "out.json.journal").exists()


def test_prompts_that_are_too_long_are_named(prompts: Path, tmp_path: Path) -> None:
    lines = [line("long", "qa", "x" * 400), line("a"), line("b")]
    document = run(settings(write(tmp_path / "p.jsonl", lines), max_model_len=128), progress=False)
    assert [left["id"] for left in document["prompts"]["left_out"]] == ["long"]


def test_a_place_that_cannot_be_written_is_refused_before_measuring(prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "Engines", lambda settings: pytest.fail("loaded the target"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "out.json"):
        with pytest.raises(CoveyError, match=r"^json="):
            run(settings(prompts, json=place), progress=False)


def test_an_engine_that_fails_gives_no_figures(prompts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, works: Any, give: Any = None) -> Any:
        raise RuntimeError("out of order")

    monkeypatch.setattr("covey.toy.ToyTarget.verify", broken)
    with pytest.raises(CoveyError, match=r"plain.*out of order"):
        run(settings(prompts), progress=False)
