"""A specialist from end to end on a tiny model: deltas learn, can be cut and gone on with, and are read over the draft they belong to."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from covey import LLM, SamplingParams
from covey.errors import CoveyError
from covey.model.load import load
from covey.model.nested import NestedDraft, read_config
from covey.train.record import RecordSettings, record
from covey.train.specialist import SpecialistSettings, train_specialist
from tests.bench.samples import line, write
from tests.train.interrupting import interrupted_at


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module")
def recording(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two tasks, with likeliest tokens and hidden states."""
    folder = tmp_path_factory.mktemp("recorded")
    lines = [line(f"p{i}", ("code", "qa")[i % 2], text=f"bird {i} " * (1 + i % 4)) for i in range(160)]
    with LLM(target, drafters=[], dtype="float32", device="cpu") as llm:
        made = RecordSettings(
            prompts=write(folder / "p.jsonl", lines), folder=folder / "r", target=target, max_tokens=16, top=8, hidden=True
        )
        record(llm, made)
    return folder / "r"


@pytest.fixture(scope="module")
def draft(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drafts") / "base-nested"
    base = load(target, dtype="float32", device="cpu", attention="sdpa")
    NestedDraft.of(base, 2, (1, 2), kind="self").save(folder, dtype=torch.float32)
    return folder


def settings(recording: Path, draft: Path, output: Path, **options: object) -> SpecialistSettings:
    made = SpecialistSettings(recordings=(recording,), draft=draft, tasks=("code",), output=output, rank=4, unroll=2, device="cpu")
    return replace(made, **{"dtype": "float32", "steps": 24, "save_every": 8, "evaluate_every": 8, "learning_rate": 1e-2, **options})


def read(folder: Path, target: str) -> NestedDraft:
    return NestedDraft.load(folder, load(target, dtype="float32", device="cpu", attention="sdpa"))


def test_a_specialist_learns_and_is_its_basis_with_deltas(recording, draft, target, tmp_path):
    pytest.importorskip("peft", reason="needs the extra `train`")
    told: list[str] = []
    made = train_specialist(settings(recording, draft, tmp_path / "code"), tell=told.append)
    done = made.config.training
    assert done["before"].keys() == done["held_out"].keys() >= {"loss", "agreement_1", "agreement_2", "agreement_2_token_2"}
    assert done["held_out"]["loss"] < done["before"]["loss"]
    assert (told[0].split(":")[0], done["settings"]["tasks"]) == ("before", ["code"])
    assert not (tmp_path / "code" / "model.safetensors").exists()
    deltas = load_file(tmp_path / "code" / "deltas.safetensors")
    plain, changed = load_file(draft / "model.safetensors"), read(tmp_path / "code", target).state_dict()
    for name in {each.rpartition(".")[0] for each in deltas}:
        expected = plain[name] + deltas[f"{name}.up"].float() @ deltas[f"{name}.down"].float()
        torch.testing.assert_close(changed[name], expected)
        assert not torch.equal(changed[name], plain[name])
    assert {"head.weight", "fuse.weight"} < {each.rpartition(".")[0] for each in deltas}
    assert torch.equal(changed["norm.weight"], plain["norm.weight"])
    assert "| exit 2, token 2 of a draft |" in (tmp_path / "code" / "README.md").read_text()
    with LLM(target, drafters=[f"nested:{tmp_path / 'code'}"], controller="fixed", dtype="float32", device="cpu") as llm:
        rounds = []
        llm.observe(rounds.append)
        llm.generate("bird 3", SamplingParams(max_tokens=20, ignore_eos=True))
        assert llm.drafters[0].name == "nested:code"
    assert any(r.drafted for r in rounds)


def test_a_training_that_was_cut_ends_as_one_that_was_not(recording, draft, tmp_path):
    pytest.importorskip("peft", reason="needs the extra `train`")
    whole = train_specialist(settings(recording, draft, tmp_path / "whole", dropout=0.1))
    with interrupted_at(11):
        train_specialist(settings(recording, draft, tmp_path / "cut", dropout=0.1))
    assert not (tmp_path / "cut" / "deltas.safetensors").exists()
    assert (tmp_path / "cut" / "checkpoints" / "checkpoint-11").is_dir()
    resumed = train_specialist(settings(recording, draft, tmp_path / "cut", dropout=0.1))
    assert resumed.config.training["held_out"] == whole.config.training["held_out"]
    for name, part in load_file(tmp_path / "whole" / "deltas.safetensors").items():
        assert torch.equal(part, load_file(tmp_path / "cut" / "deltas.safetensors")[name]), name


def test_a_specialist_is_read_over_the_draft_that_it_was_made_from_and_no_other(recording, draft, target, tmp_path):
    pytest.importorskip("peft", reason="needs the extra `train`")
    shutil.copytree(draft, tmp_path / "base")
    train_specialist(settings(recording, tmp_path / "base", tmp_path / "code", steps=2))
    config, _ = read_config(tmp_path / "code")
    assert config.basis is not None and config.basis.folder == "../base"
    shutil.copytree(tmp_path, tmp_path / "moved", ignore=shutil.ignore_patterns("moved"))
    read(tmp_path / "moved" / "code", target)  # both together can lie anywhere
    with pytest.raises(CoveyError, match="it is a specialist itself; name the draft"):
        train_specialist(settings(recording, tmp_path / "code", tmp_path / "again"))
    other = NestedDraft.of(load(target, dtype="float32", device="cpu", attention="sdpa"), 1, (1,), kind="self")
    other.save(tmp_path / "base")
    with pytest.raises(CoveyError, match="is not the one that it was made from .*; put that one there"):
        read(tmp_path / "code", target)
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(CoveyError, match=r"it needs its deltas\.safetensors and the draft '.*base'"):
        read(tmp_path / "code", target)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tasks": ()}, "tasks is empty"),
        ({"tasks": ("code", "rhymes")}, "tasks='rhymes': .* holds no text of it; there are code, qa"),
        ({"rank": 0}, "rank=0: rank must be at least 1"),
        ({"dropout": 1.0}, "dropout=1.0: dropout must be from 0 to below 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(recording, draft, tmp_path, options, why):
    with pytest.raises(CoveyError, match=why):
        train_specialist(settings(recording, draft, tmp_path / "d", **options))


def test_without_peft_the_fix_is_named(recording, draft, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(CoveyError, match=r"needs the package peft: pip install 'covey\[train\]'"):
        train_specialist(settings(recording, draft, tmp_path / "d"))
