"""What a target is, and what it is given to do in a pass. Knows nothing of models: it may live anywhere.

verdicts = target.verify([Work(sequence, len(sequence.tokens) - 1, 1, draft)])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from covey.types.draft import Draft
from covey.types.sequence import Sequence
from covey.types.verdict import Verdict


@dataclass(frozen=True)
class Work:
    """What a target does with one sequence in one pass: `count` committed tokens from `start`, then the draft and its branches.

    The draft is empty unless the committed tokens are thereby complete; only then is there a verdict. cached: see Round.
    """

    sequence: Sequence
    start: int
    count: int
    draft: Draft
    cached: int = 0

    @property
    def complete(self) -> bool:
        return self.start + self.count == len(self.sequence.tokens)

    @property
    def num_tokens(self) -> int:
        return self.count + self.draft.size


@runtime_checkable
class Target(Protocol):
    """The model whose output is reproduced. Full logits never cross this seam.

    rows is the accounting of its KV cache (a `rows.RowPool`): the scheduler asks it for room, the target reads it.
    hidden_size is that of the hidden states that it can give; 0 for a target that gives none.

    A target may also have `inherit(sequence, of, length) -> bool`: give the row of a sequence that was just started the first
    `length` positions of another one's, by `RowPool.inherit`; False when that cannot be. Without it every prompt is read. And it may have
    `branches`: whether the branches of a draft cost it no more than drafted tokens. Without it drafts have none.
    """

    name: str
    vocab_size: int
    max_model_len: int
    rows: Any
    tokenizer: Any
    end_ids: frozenset[int]
    hidden_size: int

    def start(self, sequence: Sequence) -> None: ...

    def verify(self, works: list[Work], give: Callable[[Sequence, int, Any], None] | None = None) -> list[Verdict | None]:
        """One pass over all works; a verdict for each work that is complete, None for a prompt still in prefill.

        give, where it is asked for, is called for each work with the last hidden states of the positions that it fed and that
        stand: a drafter's `receive`.
        """
        ...

    def stop(self, sequence: Sequence) -> None: ...

    def close(self) -> None: ...
