"""Files and folders of the cache that are either whole or absent, however many processes start or die.

Knows nothing of what is stored.

    place = ensure(cache / "smollm2", make, report)     # make(workspace) -> the finished file or folder inside it
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from covey.errors import CoveyError

# report(step, fraction): the step at hand, and how much of it is done (None where that is not known).
Report = Callable[[str, float | None], None]


def silent(step: str, fraction: float | None) -> None:
    """The report that nobody reads."""


def ensure(place: Path, make: Callable[[Path], Path], report: Report = silent) -> Path:
    """Return `place`; if it is not there, let `make` build it in an empty workspace and move the result there.

    One process builds and the others wait. The workspace has a fixed name and belongs to whoever holds the lock, so
    what a killed process left behind is removed by the next one. The lock itself dies with its process.

    Raises CoveyError when the cache cannot be written; whatever else `make` raises goes through after cleaning up.
    """
    if place.exists():
        return place
    workspace = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(place.with_name(f".{place.name}.lock"), report):
            if not place.exists():
                _build(place, make, workspace)
    except OSError as error:
        if error.errno is None:  # not the file system's: libraries raise OSError for much else
            raise
        advice = "free some space there, make it writable, or set COVEY_CACHE to another folder"
        raise CoveyError(f"cache {place.parent}: cannot write {place.name} ({error.strerror}): {advice}") from error
    return place


def _build(place: Path, make: Callable[[Path], Path], workspace: Path) -> None:
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir()
    try:
        os.replace(make(workspace), place)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """Hold the lock. Says so when that means waiting for another process."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("wait for another process", None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
