"""A file of measured cells that is gone on with where it was cut.

cells = begun(given, settings)      # given.json names the file
"""

from __future__ import annotations

import argparse
import json
from typing import Any


def begun(given: argparse.Namespace, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Cells that were done before, those that failed left out."""
    if not given.json.exists():
        return []
    document = json.loads(given.json.read_text("utf-8"))
    if document["settings"] != settings:
        raise SystemExit(f"--json {given.json}: begun with other settings ({document['settings']}); give another file")
    return [cell for cell in document["cells"] if "error" not in cell]
