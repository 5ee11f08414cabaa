"""The environment variables that are not settings: where the cache is, debugging, keys, and what other libraries read.

cache_dir() / "models"
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

OTHER_VARIABLES = ("COVEY_CACHE", "COVEY_DEBUG", "COVEY_API_KEYS", "COVEY_ADMIN_KEY")


def cache_dir() -> Path:
    """Where fetched and converted models are kept: COVEY_CACHE, else ~/.cache/covey."""
    given = os.environ.get("COVEY_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "covey"


def debug() -> bool:
    """COVEY_DEBUG=1: show tracebacks."""
    return os.environ.get("COVEY_DEBUG", "") not in ("", "0")


@dataclass(frozen=True)
class Secrets:
    """What must stand neither on a command line, where others of the machine see it, nor in covey.toml."""

    api_keys: tuple[str, ...] = field(default=(), repr=False)
    admin_key: str | None = field(default=None, repr=False)


def secrets() -> Secrets:
    """COVEY_API_KEYS, separated by commas, and COVEY_ADMIN_KEY."""
    keys = [key.strip() for key in os.environ.get("COVEY_API_KEYS", "").split(",")]
    return Secrets(tuple(key for key in keys if key), os.environ.get("COVEY_ADMIN_KEY", "").strip() or None)


def quiet_libraries() -> None:
    """Keep the model libraries' own progress bars and advice off the terminal, unless the user asked for them.

    They read these variables when they are imported, so this must come first.
    """
    for name, value in (("TRANSFORMERS_VERBOSITY", "error"), ("HF_HUB_DISABLE_PROGRESS_BARS", "1"), ("TOKENIZERS_PARALLELISM", "false")):
        os.environ.setdefault(name, value)


def bound_kernel_caches(kernels: int) -> None:
    """Let the CPU's matrix library keep so many kernels in each of its two caches, unless the user said how many.

    It makes one for every number of tokens that it meets and keeps a thousand: hundreds of megabytes for a server that has seen prompts
    of all lengths. It reads these variables when it makes the first, so this must come before.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(kernels))
