"""`covey doctor`: what fits, and what does not and why."""

from __future__ import annotations

import json
from pathlib import Path

import covey
from tests.cli.commands import TOY, run


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


def test_doctor_tells_settings_of_every_table() -> None:
    Path("covey.toml").write_text('target = "toy"\n[sampling]\ntop_k = 3\n[server]\nport = 1\nkeys_file = "keys"\n')
    told = json.loads(run("doctor", "--drafters", "suffix", "--json").stdout)["settings"]
    values = {"target": "toy", "top_k": 3, "port": 1, "keys_file": "keys"}
    assert {name: told[name] for name in values} == {name: {"value": value, "from": "covey.toml"} for name, value in values.items()}
