"""Peers give the same text where they run the same weights, and say what they are."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from covey.bench import BenchSettings, run
from covey.bench.llamacpp import gguf_of
from covey.bench.names import parse_method
from covey.bench.peers import Peers
from covey.errors import CoveyError
from tests.bench.samples import line, write
from tests.model.tiny import tiny_model
from tests.model.tiny_gguf import tiny_gguf

PEERS = ("transformers", "transformers-batch", "transformers-lookup")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("peer"))


@pytest.fixture(scope="module")
def document(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    prompts = write(tmp_path_factory.mktemp("prompts") / "p.jsonl", [line(f"q{i}", text="the birds sing " * (i + 1)) for i in range(4)])
    settings = BenchSettings(
        prompts=prompts,
        target=str(folder),
        methods=("plain", "fixed-4", *PEERS, f"transformers-assisted:{folder}"),
        batch=(1, 2),
        max_tokens=20,
        dtype="float32",
        device="cpu",
        warmup=0,
    )
    return run(settings, progress=False)


def test_all_give_the_text_of_plain_decoding(document: dict[str, Any]) -> None:
    compared = [row["texts_against_plain"] for row in document["summary"] if row["task"] == "all" and row["method"] != "plain"]
    assert len(compared) == 2 * 5
    assert all(texts["differing_prompts"] == 0 < texts["tokens_compared"] for texts in compared)


def test_peers_have_speeds_of_whole_answers_and_of_decoding(document: dict[str, Any]) -> None:
    for row in document["summary"]:
        if row["task"] == "all" and row["method"] in PEERS:
            assert row["tokens_per_second"] > 0
            assert row["decode_tokens_per_second"] > 0
            assert row["acceptance_rate"] is None
            assert row["time_shares"] is None
            assert row["speedups"]["plain"]["end_to_end"]["pairs"] == 4 // row["batch"]


def test_speculating_peers_need_fewer_passes(document: dict[str, Any], folder: Path) -> None:
    passes = {row["method"]: row["tokens_per_pass"] for row in document["summary"] if (row["task"], row["batch"]) == ("all", 1)}
    assert passes["transformers"] == passes["transformers-batch"] == 1.0
    assert passes[f"transformers-assisted:{folder}"] > 2.0  # the target is its own assistant


def test_what_ran_is_said(document: dict[str, Any]) -> None:
    said = document["methods"]
    assert {said[name]["dtype"] for name in PEERS} == {said["plain"]["dtype"]} == {"float32"}
    assert said["transformers"]["batch"] != said["transformers-batch"]["batch"]
    assert said["transformers-lookup"]["prompt_lookup_num_tokens"] == 10


def test_a_target_without_a_gguf_has_no_llamacpp(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CoveyError, match=r"llamacpp.*no GGUF.*smollm2"):
        gguf_of(str(folder))
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert gguf_of(str(tmp_path / "a.gguf")) == tmp_path / "a.gguf"


def test_a_missing_package_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    settings = BenchSettings(prompts=tmp_path / "p", target=str(tmp_path / "a.gguf"), methods=("plain", "llamacpp"))
    with pytest.raises(CoveyError, match=r"covey\[peers\]"):
        Peers(settings, SimpleNamespace(), 256).method(parse_method("llamacpp"))


@pytest.mark.parametrize("batch", [1, 3])
def test_llamacpp_answers_with_its_own_file(folder: Path, tmp_path: Path, batch: int) -> None:
    pytest.importorskip("xllamacpp")
    gguf = tiny_gguf(tmp_path / "tiny.gguf", folder)
    settings = BenchSettings(
        prompts=tmp_path / "p", target=str(gguf), methods=("plain", "llamacpp"), batch=(batch,), max_tokens=12, device="cpu", threads=1
    )
    peer = Peers(settings, SimpleNamespace(), 64).method(parse_method("llamacpp"))
    try:
        answer = peer.answer([[5, 9, 11, 30 + i] for i in range(batch)])
    finally:
        peer.close()
    assert len(answer.counts) == batch
    assert all(1 <= count <= 12 for count in answer.counts)
    assert answer.seconds > 0
    assert answer.outputs is None
    assert (answer.passes is None) == (batch > 1)
    if answer.passes is not None:
        assert answer.passes.decode.tokens == answer.counts[0] - 1
    assert "tiny.gguf" in peer.details["weights"]
