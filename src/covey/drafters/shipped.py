"""Drafts that come with covey: which there are, where they lie, and which target each is for.

A draft is a folder under `drafts/`; inside a wheel that is `covey/drafts/`.

    shipped_corpus("smollm2")      # drafts/smollm2-suffix/corpus.safetensors
"""

from __future__ import annotations

from pathlib import Path

import covey

_PACKAGE = Path(covey.__file__).parent
_PLACES = (_PACKAGE / "drafts", _PACKAGE.parents[1] / "drafts")  # an installed wheel; a checkout


def shipped_corpus(target: str) -> Path | None:
    """The suffix corpus of a target's own text, if one is shipped."""
    return next((path for place in _PLACES if (path := place / f"{target}-suffix" / "corpus.safetensors").is_file()), None)


def shipped_draft(target: str) -> Path | None:
    """The folder of the nested draft of a target, if one is shipped."""
    return next((path for place in _PLACES if ((path := place / f"{target}-nested") / "config.json").is_file()), None)


def good_drafters(target: str) -> list[str]:
    """The names of the drafters that are known to be good for a target: what drafters=None takes."""
    return ["suffix" if shipped_corpus(target) is None else f"suffix:{target}"]
