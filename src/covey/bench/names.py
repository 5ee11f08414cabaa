"""The grammar of method names: what `--methods plain,goodput,fixed-4,transformers-lookup` means.

Knows only the names; `methods.py` and `peers.py` make what they name.

    parse_method("suffix:fixed-4")      # MethodName(name=..., kind="fixed", drafter="suffix", length=4)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from covey.config import ConfigError
from covey.config.catalogue import CONTROLLERS

Kind = Literal["plain", "covey", "transformers", "transformers-batch", "transformers-lookup", "transformers-assisted", "llamacpp"]

# Controllers that choose lengths; a fixed one is said with its length.
LENGTHS = tuple(name for name in CONTROLLERS if name not in ("fixed", "watch"))
KNOWN = (
    "plain",
    "fixed-K",
    "DRAFTER:fixed-K",
    "DRAFTER+DRAFTER:fixed-K",
    *LENGTHS,
    f"DRAFTER:{LENGTHS[0]}",
    "transformers",
    "transformers-batch",
    "transformers-lookup",
    "transformers-assisted:MODEL",
    "llamacpp",
)
_COVEY = re.compile(rf"(?:(?P<drafter>.+):)?(?P<controller>{'|'.join(LENGTHS)}|fixed-(?P<length>\d{{1,3}}))")
_SIMPLE: dict[str, Kind] = {
    "plain": "plain",
    "transformers": "transformers",
    "transformers-batch": "transformers-batch",
    "transformers-lookup": "transformers-lookup",
    "llamacpp": "llamacpp",
}
LONGEST_DRAFT = 64
_LONGEST_CHOSEN = 8  # of the drafts of a controller that chooses; the engine's own default


@dataclass(frozen=True)
class MethodName:
    """One method. controller: who chooses draft lengths, of at most `length` tokens. drafter: the drafter that the name itself gives,
    or the members of a collective joined by +; None for those of the run. model: the assistant."""

    name: str
    kind: Kind
    length: int = 0
    controller: str = "fixed"
    drafter: str | None = None
    model: str | None = None

    @property
    def is_peer(self) -> bool:
        """Another system, rather than covey."""
        return self.kind not in ("plain", "covey")


def parse_method(name: str) -> MethodName:
    """Read a method's name. Raises ConfigError with the names that are known."""
    if name in _SIMPLE:
        return MethodName(name, _SIMPLE[name])
    assistant = name.removeprefix("transformers-assisted:")
    if assistant != name and assistant:
        return MethodName(name, "transformers-assisted", model=assistant)
    match = _COVEY.fullmatch(name)
    if match and not match["length"]:
        return MethodName(name, "covey", _LONGEST_CHOSEN, match["controller"], match["drafter"])
    if match and 1 <= int(match["length"]) <= LONGEST_DRAFT:
        return MethodName(name, "covey", int(match["length"]), "fixed", match["drafter"])
    if match:
        raise ConfigError(f"methods={name!r}: K must be from 1 to {LONGEST_DRAFT}; plain is the method that drafts nothing")
    raise ConfigError(f"methods={name!r}: no such method; known are {', '.join(KNOWN)}")
