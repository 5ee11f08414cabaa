"""A text in the making, the one thing that changes; and the rolling hash that tells one text from another of the same length.

Knows nothing of who writes it.

    sequence = Sequence(0, (1, 2), SamplingParams()); sequence.commit([5]); sequence.output     # [5]
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import Literal

from covey.sampling_params import SamplingParams
from covey.types.constraint import Constraint

FinishReason = Literal["stop", "length", "abort", "error"]

_HASH_MODULUS = (1 << 61) - 1
_HASH_BASE = 0x1F3D5B79A2C4E68D % _HASH_MODULUS


def prefix_id_after(prefix_id: int, tokens: Seq[int]) -> int:
    """The rolling hash of a text that goes on with these tokens."""
    for token in tokens:
        prefix_id = (prefix_id * _HASH_BASE + token + 1) % _HASH_MODULUS
    return prefix_id


@dataclass
class Sequence:
    """One text in the making: prompt and output token ids. The one mutable type; it grows only by `commit`.

    seed is already mixed from the request's seed, its prompt and the index of the completion (see noise.py), so
    that no two sequences share noise. end_ids are the tokens that end this sequence. target is the name of the target that
    writes it. kind is the kind of work that records are kept by: unless it is given, the request's label. scope says whose it is:
    sequences of different scopes share nothing that was read. shown is how many of its tokens drafters have been shown, as far as
    the controller knows. constraint is what the request's grammar comes to. draft_cap is the longest draft that the operator allows at
    the moment, None for any.
    """

    id: int
    prompt: tuple[int, ...]
    params: SamplingParams
    seed: int = 0
    request_id: str = ""
    index: int = 0
    end_ids: frozenset[int] = frozenset()
    tokens: list[int] = field(default_factory=list)
    prefix_id: int = 0
    finish_reason: FinishReason | None = None
    target: str = ""
    kind: str = ""
    scope: str = ""
    shown: int = 0
    constraint: Constraint | None = None
    draft_cap: int | None = None

    def __post_init__(self) -> None:
        self.kind = self.kind or self.params.label
        if not self.tokens:
            self.commit(self.prompt)

    @property
    def output(self) -> list[int]:
        return self.tokens[len(self.prompt) :]

    @property
    def num_output(self) -> int:
        return len(self.tokens) - len(self.prompt)

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    def commit(self, tokens: Seq[int]) -> None:
        """Append tokens that the target decided on."""
        self.prefix_id = prefix_id_after(self.prefix_id, tokens)
        self.tokens.extend(tokens)

    def copy(self) -> Sequence:
        """The same text at this moment, to be read while this one grows; prompt and parameters are shared."""
        return replace(self, tokens=list(self.tokens))

    @property
    def room(self) -> int:
        """Tokens that fit into max_tokens beside the target's next one."""
        return max(0, self.params.max_tokens - self.num_output - 1)

    @property
    def max_draft_tokens(self) -> int:
        """The longest draft that can be of use and is allowed."""
        if self.params.speculation.get("drafters") in ([], ()):
            return 0
        allowed = self.room if self.draft_cap is None else min(self.room, self.draft_cap)
        return max(0, min(allowed, self.params.speculation.get("num_tokens", allowed)))

    def takes_from(self, drafter: str) -> bool:
        """Whether a member of a collective may draft for this sequence."""
        names = self.params.speculation.get("drafters")
        return names is None or drafter in names
