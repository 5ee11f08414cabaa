"""How much of what is drafted is accepted in the long run; kept in a file, so that a restart neither forgets it nor hides a change.

Knows tokens; knows nothing of drafters.

    level = Level(place); level.add(drafted=4, accepted=1); level.share; level.keep()
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

log = logging.getLogger("covey.server")

_MEMORY, _LEAST = 65_536.0, 2_048  # drafted tokens that it forgets in, and before which there is none


@dataclass
class Fading:
    """Drafted and accepted tokens, older ones counting less."""

    drafted: float = 0.0
    accepted: float = 0.0

    def add(self, drafted: int, accepted: int, memory: float) -> None:
        keep = max(0.0, 1 - drafted / memory)
        self.drafted, self.accepted = self.drafted * keep + drafted, self.accepted * keep + accepted

    @property
    def share(self) -> float:
        return self.accepted / self.drafted


class Level:
    """place: the file that it begins with, where that is there, and is kept in; None keeps it nowhere."""

    def __init__(self, place: Path | None = None) -> None:
        self._place = place
        self._counts = Fading() if place is None else _read(place)

    @classmethod
    def of(cls, folder: Path, about: Mapping[str, Any]) -> Level:
        """The one that is kept in this folder for what `about` says, as JSON: names, so that what is new under an old name is found."""
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]
        return cls(folder / f"{digest}.json")

    def add(self, drafted: int, accepted: int) -> None:
        self._counts.add(drafted, accepted, _MEMORY)

    @property
    def share(self) -> float | None:
        """None before it is known."""
        return self._counts.share if self._counts.drafted >= _LEAST else None

    def copy(self) -> Level:
        """As it stands: what counts on in another thread does not wait for a disk."""
        same = Level()
        same._place, same._counts = self._place, replace(self._counts)
        return same

    def keep(self) -> None:
        """Write it down, once it is known. A folder that cannot be written to costs the memory, not the service."""
        if self._place is None or self.share is None:
            return
        partial = self._place.with_name(f".{self._place.name}.{os.getpid()}.partial")
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"drafted": self._counts.drafted, "accepted": self._counts.accepted}) + "\n", "utf-8")
            partial.replace(self._place)
        except OSError as error:
            log.warning("the long run's acceptance could not be kept in %s (%s)", self._place.parent, error.strerror)


def _read(place: Path) -> Fading:
    """Nothing where there is nothing, or nothing of sense: it is learned again."""
    try:
        held = json.loads(place.read_text("utf-8"))
        found = Fading(float(held["drafted"]), float(held["accepted"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Fading()
    return found if 0 <= found.accepted <= found.drafted <= 2 * _MEMORY else Fading()
