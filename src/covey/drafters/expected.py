"""What share of its drafted tokens a drafter is expected to have accepted, as was measured: kept in its folder, by target.

`covey calibrate` writes it for a nested draft; drafts that ship bring it along. Who goes far under it drafts for another target than
it was made for, or has been damaged. Knows nothing of how it is measured or who watches.

    expect(Path("draft"), "smollm2", 0.24, "covey calibrate ..."); expected_acceptance(["nested:draft"], "smollm2")
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from covey.drafters.shipped import shipped_corpus, shipped_draft

FILE = "expected.json"


def expected_acceptance(names: Sequence[str], target: str) -> float | None:
    """Of drafters by the names that they are asked for by, `nested:FOLDER` and `suffix:CORPUS`; of several the least, for together they
    are not to do worse. None where nothing is recorded."""
    folders = [folder for name in names if (folder := _folder(name)) is not None]
    known = [share for folder in folders if (share := _read(folder).get(target, {}).get("acceptance")) is not None]
    return min(known, default=None)


def expect(folder: Path, target: str, acceptance: float, measured: str) -> None:
    """Record what was measured, and how."""
    found = {**_read(folder), target: {"acceptance": round(acceptance, 4), "measured": measured}}
    partial = folder / f".{FILE}.partial"
    partial.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    partial.replace(folder / FILE)


def _folder(name: str) -> Path | None:
    kind, _, what = name.partition(":")
    if kind == "nested":
        return shipped_draft(what) or Path(what)
    if kind == "suffix" and what:
        return (shipped_corpus(what) or Path(what)).parent
    return None


def _read(folder: Path) -> dict[str, Any]:
    """Empty for what is not there or makes no sense: nothing depends on it but a warning."""
    try:
        held = json.loads((folder / FILE).read_text("utf-8"))
        return {str(target): each for target, each in held.items() if 0 < float(each["acceptance"]) <= 1}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
