"""Drafts that come with covey: which there are, where they lie, and which target each is for.

A draft is a folder under `drafts/`; inside a wheel that is `covey/drafts/`.

    shipped_corpus("smollm2")      # drafts/smollm2-suffix/corpus.safetensors
    shipped_draft("smollm2-code")  # drafts/smollm2-code
"""

from __future__ import annotations

import re
from pathlib import Path

import covey

_PACKAGE = Path(covey.__file__).parent
_PLACES = (_PACKAGE / "drafts", _PACKAGE.parents[1] / "drafts")  # an installed wheel; a checkout


def shipped_corpus(target: str) -> Path | None:
    """The suffix corpus of a target's own text, if one is shipped."""
    return next((path for place in _PLACES if (path := place / f"{target}-suffix" / "corpus.safetensors").is_file()), None)


def shipped_draft(name: str) -> Path | None:
    """The folder of a nested draft: the one of a target by the target's name, a specialist by its own, such as smollm2-code."""
    if not re.fullmatch(r"[\w.-]+", name):  # a path of the user's
        return None
    folders = [place / each for place in _PLACES for each in (f"{name}-nested", name)]
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def good_drafters(target: str) -> list[str]:
    """The names of the drafters that are known to be good for a target: what drafters=None takes."""
    return ["suffix" if shipped_corpus(target) is None else f"suffix:{target}"]
