"""A file of measured cells that is gone on with where it was cut, and what is said of many cells at once.

cells = begun(given, settings)                                  # given.json names the file
gap_closed([(31.0, 24.0, 32.0), (29.0, 29.5, 30.0)])            # 0.76
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import Any


def begun(given: argparse.Namespace, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Cells that were done before, those that failed left out."""
    if not given.json.exists():
        return []
    document = json.loads(given.json.read_text("utf-8"))
    if document["settings"] != settings:
        raise SystemExit(f"--json {given.json}: begun with other settings ({document['settings']}); give another file")
    return [cell for cell in document["cells"] if "error" not in cell]


def gap_closed(speeds: Iterable[tuple[float, float, float]]) -> float | None:
    """The share of the ways from the worst fixed length to the best that a controller goes, all cells together; None where there is no way.

    speeds: of each cell the controller's, the worst length's and the best's. Ways are measured in the best's speed and added up before
    they are divided: where lengths hardly differ, the share of a single cell would be noise over nothing.
    """
    ways = [((speed - worst) / best, (best - worst) / best) for speed, worst, best in speeds]
    whole = sum(gap for _, gap in ways)
    return sum(way for way, _ in ways) / whole if whole > 0 else None
