"""What was learned, in a file of numbers, from one process to the next.

Each class that learns says what it has `learned()` as plain lists and takes it up again; here it is written, read and checked, so that
a file from elsewhere can be wrong but do no harm. Knows nothing of what the numbers mean.

    write(place, ("a", "b"), {"hits": [3.0, 1.0]}); read(place, ("a", "b"), lambda held: print(numbers(held["hits"], 2)))
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf, isfinite
from pathlib import Path
from typing import Any

from covey.errors import CoveyError

FORMAT = 4


def numbers(held: Any, count: int, low: float = -inf) -> list[float]:
    """So many finite numbers, none under `low`. Raises ValueError or TypeError where that is not what is held."""
    found = [float(each) for each in held]
    if len(found) != count or not all(isfinite(each) and each >= low for each in found):
        raise ValueError(f"{count} finite numbers from {low} are expected, not {held!r:.80}")
    return found


def write(place: Path, owners: tuple[str, ...], learned: dict[str, Any]) -> None:
    """owners: those whom it is about, in order. A file that is there is replaced as a whole."""
    partial = place.with_name(f".{place.name}.partial")
    partial.write_text(json.dumps({"format": FORMAT, "members": owners, **learned}) + "\n", "utf-8")
    partial.replace(place)


def read(place: Path, owners: tuple[str, ...], take_up: Callable[[dict[str, Any]], None]) -> None:
    """Hand what a file holds to `take_up`, if the file is there. Raises CoveyError where it is of others, or not what it should be, or
    could not be written later."""
    if not place.parent.is_dir() or place.is_dir():
        raise CoveyError(f"state file {str(place)!r}: it cannot be written there; name a file in a folder that exists")
    if not place.exists():
        return
    try:
        held = json.loads(place.read_text("utf-8"))
        if held["format"] != FORMAT or tuple(held["members"]) != owners:
            raise ValueError(f"it is of {', '.join(held['members'])}, format {held['format']}")
        take_up(held)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        why = f"it does not hold the records of {', '.join(owners)} ({error})"
        raise CoveyError(f"state file {str(place)!r}: {why}; name another file, or remove it") from None
