"""What a figure must carry to mean anything: command, versions, machine, commit.

Knows nothing of what is measured.

    machine()["cpu"]
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

import covey

_PACKAGES = ("torch", "transformers", "xllamacpp")


def command() -> str:
    """How this process was started."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str | None]:
    """covey, Python, and the packages that do the arithmetic; None for one that is not installed."""
    found: dict[str, str | None] = {"covey": covey.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict[str, Any]:
    """The hardware. threads: of the CPU, and those that torch was given."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(logical=True),
        "usable_threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
        "gpus": gpus,
    }


def about() -> dict[str, Any]:
    """All of it, as the head of a document of figures."""
    return {
        "command": command(),
        "made": now(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "load_average": load_average(),
    }


def load_average() -> list[float] | None:
    """Of the last 1, 5 and 15 minutes: tells whether the machine was quiet."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def commit() -> str | None:
    """The commit of the checkout that covey runs from, with `+changes` if its sources differ; None outside of one."""
    source = Path(covey.__file__).parent
    name = _git(source, "rev-parse", "HEAD")
    if not name or _git(source, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return name + ("+changes" if _git(source, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
