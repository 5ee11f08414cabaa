"""Drafters, and how they are found by name: `suffix`, `suffix:CORPUS`, `grammar`, `nested:FOLDER`, `model:NAME`, and
those that other packages register.

A package registers a drafter by an entry point in the group `covey.drafters`: a class, or a function without
arguments that returns a `covey.types.Drafter`.

    make_drafter("model:smollm2", dtype="float32", device="cpu")
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from covey.drafters.collective import CollectiveDrafter
from covey.drafters.corpus import Corpus
from covey.drafters.grammar import GrammarDrafter
from covey.drafters.model import ModelDrafter
from covey.drafters.nested import NestedDrafter
from covey.drafters.shipped import good_drafters, shipped_corpus, shipped_draft
from covey.drafters.suffix import SuffixDrafter
from covey.errors import CoveyError
from covey.types import Drafter

ENTRY_POINT_GROUP = "covey.drafters"

__all__ = [
    "ENTRY_POINT_GROUP",
    "CollectiveDrafter",
    "GrammarDrafter",
    "ModelDrafter",
    "NestedDrafter",
    "SuffixDrafter",
    "drafter_names",
    "good_drafters",
    "make_drafter",
    "shipped_draft",
]


def drafter_names() -> list[str]:
    """The names that make_drafter knows, third parties' included."""
    return [
        "suffix",
        "suffix:CORPUS",
        "grammar",
        "nested:FOLDER",
        "model:NAME",
        *sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP)),
    ]


def make_drafter(name: str, *, dtype: str = "auto", device: str = "auto", compiled: bool = False) -> Drafter:
    """The drafter of that name. Raises CoveyError for an unknown name or a third party's drafter that fails."""
    if name == "suffix":
        return SuffixDrafter()
    if name.startswith("suffix:"):
        return SuffixDrafter(_corpus(name.removeprefix("suffix:")))
    if name == "grammar":
        return GrammarDrafter()
    if name.startswith("nested:"):
        folder = name.removeprefix("nested:")
        return NestedDrafter(shipped_draft(folder) or folder, dtype=dtype, device=device)
    if name.startswith("model:"):
        return ModelDrafter(name.removeprefix("model:"), dtype=dtype, device=device, compiled=compiled)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            return _third_party(name, point.load)
    raise CoveyError(f"drafters={name!r}: no such drafter; known are {', '.join(drafter_names())}")


def _corpus(name: str) -> Corpus:
    """A shipped corpus by its target's name, or a file."""
    return Corpus.load(shipped_corpus(name) or Path(name))


def _third_party(name: str, load: object) -> Drafter:
    try:
        drafter = load()()  # type: ignore[operator]
    except Exception as error:
        raise CoveyError(f"drafters={name!r}: the registered drafter does not load ({type(error).__name__}: {error})") from error
    if not isinstance(drafter, Drafter):
        raise CoveyError(f"drafters={name!r}: it gives a {type(drafter).__name__}, which is no covey.types.Drafter")
    return drafter
