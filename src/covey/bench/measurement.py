"""One measurement: what a method gave for one prompt group, once. The line of the journal and the raw material of the summary.

Plain data; knows neither how it was measured nor what becomes of it.

    Measurement.from_dict(json.loads(line)).tokens_per_second
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from covey.bench.tally import Passes


class Unit(NamedTuple):
    """What all methods measure one after the other, so that they can be paired: a group at a time."""

    batch: int
    repetition: int
    group: str


@dataclass(frozen=True)
class Answer:
    """What a method gives for a group. outputs is None where a peer tells no token ids; passes where it tells no passes."""

    seconds: float
    counts: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...] | None
    passes: Passes | None


@dataclass(frozen=True)
class Measurement:
    """seconds is wall time from handing over the prompts' token ids to having all the answers."""

    unit: Unit
    task: str
    method: str
    ids: tuple[str, ...]
    prompt_tokens: tuple[int, ...]
    answer: Answer

    @property
    def tokens(self) -> int:
        return sum(self.answer.counts)

    @property
    def tokens_per_second(self) -> float | None:
        return self.tokens / self.answer.seconds if self.tokens and self.answer.seconds > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Everything, as the journal keeps it."""
        return self._facts() | {"outputs": self.answer.outputs and [list(o) for o in self.answer.outputs]}

    def to_record(self) -> dict[str, Any]:
        """The same with digests instead of token ids, for the result file."""
        return self._facts() | {"output_digests": self.answer.outputs and [_digest(o) for o in self.answer.outputs]}

    def _facts(self) -> dict[str, Any]:
        return {
            **self.unit._asdict(),
            "task": self.task,
            "method": self.method,
            "prompts": list(self.ids),
            "prompt_tokens": list(self.prompt_tokens),
            "seconds": self.answer.seconds,
            "tokens": list(self.answer.counts),
            "passes": self.answer.passes and self.answer.passes.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Measurement:
        """The inverse of to_dict. Raises KeyError or TypeError for anything else."""
        outputs, passes = data["outputs"], data["passes"]
        return cls(
            unit=Unit(data["batch"], data["repetition"], data["group"]),
            task=data["task"],
            method=data["method"],
            ids=tuple(data["prompts"]),
            prompt_tokens=tuple(data["prompt_tokens"]),
            answer=Answer(
                seconds=data["seconds"],
                counts=tuple(data["tokens"]),
                outputs=outputs and tuple(tuple(o) for o in outputs),
                passes=passes and Passes.from_dict(passes),
            ),
        )


def _digest(tokens: tuple[int, ...]) -> str:
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()[:12]
