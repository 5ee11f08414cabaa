"""How long, how fast and on what a draft is trained: what all trainings have in common.

TrainSettings(recordings=(Path("recorded"),), output=Path("draft"), epochs=3.0)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from covey.errors import CoveyError
from covey.model.load import LoadedModel
from covey.train.recording import Recording

# Losses by name: the weights of cross-entropy and of divergence. SoFT is that of S2D (arXiv 2407.01955).
LOSSES = {"both": (1.0, 1.0), "soft": (1.0, 0.0), "distil": (0.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What is trained on, and how.

    ce, kl, unroll: see Objective; LOSSES has names for the first two. epochs or steps: how long; steps wins. batch_size: texts a
    step and device, accumulate: steps that make one update. max_length: tokens of a text. save_every, evaluate_every: in steps.
    threads: of the CPU; None leaves torch's choice.

    Raises CoveyError naming field and value.
    """

    recordings: tuple[Path, ...]
    output: Path
    ce: float = LOSSES["both"][0]
    kl: float = LOSSES["both"][1]
    unroll: int = 1
    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = 8
    accumulate: int = 1
    learning_rate: float = 5e-4
    warmup: float = 0.03
    max_length: int = 1024
    save_every: int = 200
    evaluate_every: int = 200
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("unroll", "batch_size", "accumulate", "save_every", "evaluate_every"):
            self.check_at_least_one(name)
        for name in ("ce", "kl"):
            if getattr(self, name) < 0:
                raise CoveyError(f"{name}={getattr(self, name)}: {name} must be 0 or more")
        if not self.recordings:
            raise CoveyError("recordings is empty: name at least one folder that covey record has written")
        if not self.ce and not self.kl:
            raise CoveyError("ce=0, kl=0: there is nothing to learn; set one of them above 0")
        if self.dtype not in ("auto", "bfloat16", "float32"):
            raise CoveyError(f"dtype={self.dtype!r}: dtype must be auto, bfloat16 (mixed with float32) or float32 to train in")
        if self.max_length < 2:
            raise CoveyError(f"max_length={self.max_length}: max_length must be at least 2")

    def check_at_least_one(self, name: str) -> None:
        if getattr(self, name) < 1:
            raise CoveyError(f"{name}={getattr(self, name)}: {name} must be at least 1")

    def check_kind(self, kind: str) -> None:
        """Whether a draft of this kind can be trained so."""
        if self.unroll > 1 and kind != "self":
            raise CoveyError(f"unroll={self.unroll}: only a draft of kind self reads what it left itself; leave unroll at 1")

    def as_json(self) -> dict[str, Any]:
        """The settings as they look after a file has held them, but for what has no bearing on the draft."""
        held: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        del held["threads"]
        return held

    def read_recordings(self, base: LoadedModel, kind: str) -> list[Recording]:
        """What is trained on. Raises CoveyError for recordings that do not hold what such a draft learns from."""
        recordings = [Recording(folder) for folder in self.recordings]
        for recording in recordings:
            self._check(recording, base, kind)
        return recordings

    def _check(self, recording: Recording, base: LoadedModel, kind: str) -> None:
        name = f"recording={str(recording.folder)!r}"
        if recording.description["vocabulary"] != base.tokenizer.fingerprint:
            raise CoveyError(f"{name}: it was written with another vocabulary than that of {base.name!r}")
        scored = all(recording.has_scores(number) for number in recording.shards)
        if self.kl and not (recording.scored["top"] and scored):
            raise CoveyError(f"kl={self.kl:g}: {name} holds no likeliest tokens to distil from; set kl=0, or record with --top 20")
        if kind == "self" and (recording.scored["hidden_size"] != base.config.hidden_size or not scored):
            raise CoveyError(f"kind='self': {name} holds no hidden states of {base.name!r}; record with --hidden")
