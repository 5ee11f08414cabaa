"""What a result says of where it comes from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import covey
from covey import provenance


def test_facts_are_json_and_not_empty() -> None:
    assert json.loads(json.dumps(provenance.machine()))["memory_gib"] > 0
    assert provenance.machine()["cpu"]
    assert provenance.versions()["torch"]
    assert provenance.versions()["covey"] == covey.__version__


def test_the_head_of_a_document_has_all_of_it() -> None:
    head = json.loads(json.dumps(provenance.about()))
    assert list(head) == ["command", "made", "commit", "versions", "machine", "load_average"]


def test_the_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/covey", "bench", "--prompts", "my prompts.jsonl"])
    assert provenance.command() == "covey bench --prompts 'my prompts.jsonl'"


def test_the_commit_is_that_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src" / "covey"
    package.mkdir(parents=True)
    module = package / "__init__.py"
    module.write_text("")
    monkeypatch.setattr(covey, "__file__", str(module))

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.commit() is None
    git("init", "--quiet")
    assert provenance.commit() is None
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert provenance.commit() == head
    (tmp_path / "notes.txt").write_text("not a source of covey")
    assert provenance.commit() == head
    module.write_text("changed = 1")
    assert provenance.commit() == head + "+changes"


def test_covey_installed_within_another_checkout_is_not_of_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(".venv/\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "-m", "x"], cwd=tmp_path, check=True)
    package = tmp_path / ".venv" / "covey"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(covey, "__file__", str(package / "__init__.py"))
    assert provenance.commit() is None
