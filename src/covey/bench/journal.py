"""Keeps measurements as they come, one JSON line each, so that a run that was cut short can be taken up again.

The first line holds what the measurements are of; a journal of anything else is refused, not mixed in. Knows nothing of
what is measured.

    journal = Journal(Path("out.json.journal"), conditions); journal.append(measurement)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from covey.bench.measurement import Measurement, Unit
from covey.errors import CoveyError


def journal_path(result: Path) -> Path:
    """Beside the result file."""
    return result.with_name(result.name + ".journal")


class Journal:
    """An append-only file; with path None it forgets when the process ends."""

    def __init__(self, path: Path | None, conditions: dict[str, Any]) -> None:
        self.path = path
        self._held: dict[Unit, dict[str, Measurement]] = {}
        if path is None:
            return
        conditions = json.loads(json.dumps(conditions))
        lines = _whole_lines(path)
        try:
            if lines:
                self._check(json.loads(lines[0]), conditions)
            for line in lines[1:]:
                self._hold(Measurement.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CoveyError(f"{path}: not a journal of covey bench; move it away, or give another --json") from None
        if not lines:
            self._write({"conditions": conditions})

    def held(self, unit: Unit) -> dict[str, Measurement]:
        """The measurements of a unit by method."""
        return self._held.get(unit, {})

    def append(self, measurement: Measurement) -> None:
        """Keep a measurement; a later one of the same unit and method takes its place."""
        self._hold(measurement)
        if self.path is not None:
            self._write(measurement.to_dict())

    def remove(self) -> None:
        """The result is written: the journal has done its work."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _hold(self, measurement: Measurement) -> None:
        self._held.setdefault(measurement.unit, {})[measurement.method] = measurement

    def _write(self, data: dict[str, Any]) -> None:
        assert self.path is not None
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data) + "\n")

    def _check(self, first: dict[str, Any], conditions: dict[str, Any]) -> None:
        before = first["conditions"]
        for name in {**before, **conditions}:
            if before.get(name) != conditions.get(name):
                raise CoveyError(
                    f"{self.path} holds measurements with {name}={before.get(name)!r}, now it is {conditions.get(name)!r}: "
                    "remove that file to start anew, or give another --json"
                )


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file; a last one that was cut off in writing is cut out of the file."""
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return [""]
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return whole.splitlines()
