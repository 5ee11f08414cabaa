"""Low-rank deltas: what a specialist adds to the weights of the nested draft that it was made from.

A specialist's folder holds them and names the other draft, with its SHA-256; its own weights come about when both are read. Knows
nothing of how deltas are learned.

    save_deltas(folder, {"head.weight": (up, down)}); merged_weights(folder, Basis("../draft", sha256)); read_deltas(folder)
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from covey.errors import CoveyError

WEIGHTS = "model.safetensors"
DELTAS = "deltas.safetensors"

Deltas = dict[str, tuple[Tensor, Tensor]]  # by the name of a weight: up [out, rank] and down [rank, in], whose product is added to it


@dataclass(frozen=True)
class Basis:
    """The draft that deltas are added to: its folder, seen from the specialist's, and the SHA-256 of its weights."""

    folder: str
    sha256: str

    @classmethod
    def of(cls, draft: Path, specialist: Path) -> Basis:
        """That draft, for a specialist in that folder."""
        folder = os.path.relpath(draft.resolve(), specialist.resolve())
        return cls(Path(folder).as_posix(), weights_digest(draft))


def save_deltas(folder: Path, deltas: Deltas) -> None:
    """Write what is added to each weight, by its name: the product of up [out, rank] and down [rank, in]."""
    parts = {f"{name}.{side}": part for name, both in deltas.items() for side, part in zip(("up", "down"), both, strict=True)}
    kept = {name: part.detach().to("cpu", torch.bfloat16).contiguous() for name, part in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(kept, folder / DELTAS, metadata={"format": "pt"})


def merged_weights(folder: Path, basis: Basis) -> dict[str, Tensor]:
    """The weights of a specialist: those of its basis, with the deltas added in float32.

    Raises CoveyError for a basis that is not there or another one, and for deltas that cannot be read or do not fit.
    """
    draft = (folder / basis.folder).resolve()
    name = f"specialist {str(folder)!r}"
    try:
        digest, weights = weights_digest(draft), load_file(draft / WEIGHTS)
        deltas = read_deltas(folder)
    except (OSError, SafetensorError) as error:
        raise CoveyError(f"{name}: it needs its {DELTAS} and the draft {str(draft)!r} ({error}); put both where they were") from None
    if digest != basis.sha256:
        why = f"the draft {str(draft)!r} is not the one that it was made from (SHA-256 {digest[:16]}..., not {basis.sha256[:16]}...)"
        raise CoveyError(f"{name}: {why}; put that one there, or train the specialist anew")
    for changed, (up, down) in deltas.items():
        weight = weights.get(changed)
        if weight is None or weight.shape != (len(up), down.shape[1]):
            raise CoveyError(f"{name}: its delta for {changed!r} does not fit the draft {str(draft)!r}; train it anew")
        weights[changed] = weight.float() + up.float() @ down.float()
    return weights


def read_deltas(folder: Path) -> Deltas:
    """What a specialist adds. Raises OSError, SafetensorError, or CoveyError for a part whose other one is missing."""
    parts = load_file(folder / DELTAS)
    names = sorted({each.rpartition(".")[0] for each in parts})
    if broken := [name for name in names if not {f"{name}.up", f"{name}.down"} <= parts.keys()]:
        raise CoveyError(f"specialist {str(folder)!r}: its delta for {broken[0]!r} is not whole; train it anew")
    return {name: (parts[f"{name}.up"], parts[f"{name}.down"]) for name in names}


def weights_digest(draft: Path) -> str:
    """The SHA-256 of a draft's weights."""
    return hashlib.sha256((draft / WEIGHTS).read_bytes()).hexdigest()
