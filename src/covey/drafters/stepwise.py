"""What drafters have in common whose model writes a draft token by token over a cache of its own.

`Stepwise` keeps the hosts, the rows and the drafts under way; a subclass says how one more token is written and what it
means to forget. It knows neither layers nor logits.

    class MyDrafter(Stepwise):
        def extend(self, growing): ...      # one more token for each
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from covey.errors import UnsupportedError
from covey.rows import BLOCK_SIZE, RowPool
from covey.types import Draft, Drafter, Host, Sequence

_CATCH_UP_TOKENS = 512


@dataclass
class Growing:
    """One sequence's draft while it is written, and until it is known what became of it.

    evidence is the drafter's own: what each token rests on.
    """

    sequence: Sequence
    start: int
    length: int
    tokens: list[int] = field(default_factory=list)
    survival: list[float] = field(default_factory=list)
    evidence: list[Any] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Long enough, or ended by an end token: nothing after that could be accepted."""
        return len(self.tokens) >= self.length or bool(self.tokens and self.tokens[-1] in self.sequence.end_ids)

    def add(self, token: int, probability: float, evidence: Any = None) -> None:
        """Append a token that is right with this probability if all before it are."""
        self.survival.append((self.survival[-1] if self.survival else 1.0) * probability)
        self.tokens.append(token)
        self.evidence.append(evidence)

    def draft(self, source: str) -> Draft:
        return Draft(self.start, self.sequence.prefix_id, tuple(self.tokens), tuple(self.survival), source)

    def unseen(self, cached: int) -> list[int]:
        """Committed and drafted tokens from position `cached` on. For a draft under way."""
        return self.sequence.tokens[cached:] + self.tokens[max(0, cached - self.start) :]

    @property
    def agreed(self) -> int:
        """How many of its tokens the sequence has committed since."""
        count = 0
        for mine, committed in zip(self.tokens, self.sequence.tokens[self.start :], strict=False):
            if mine != committed:
                break
            count += 1
        return count


class Runner(Protocol):
    """What runs the model: rows, and the cache behind them."""

    rows: RowPool

    def allocate(self, num_blocks: int) -> None: ...

    @property
    def bytes_per_token(self) -> int: ...

    def close(self) -> None: ...


class Stepwise(Drafter):
    """A drafter with a model and a cache of rows; all sequences of a proposal grow together.

    One set of weights and one cache serve all targets that it is bound to. Past max_position, the model's context limit, a
    sequence gets no drafts and goes on without.
    """

    serves_several = True

    def __init__(self, name: str, runner: Runner, tokenizer: Any, vocab_size: int, max_position: int) -> None:
        self.name, self.runner = name, runner
        self.tokenizer, self.vocab_size, self.max_position = tokenizer, vocab_size, max_position
        self.hosts: dict[str, Host] = {}
        self._drafted: dict[int, Growing] = {}  # by sequence: the last draft, until it is settled

    @property
    def bytes_per_token(self) -> int:
        return self.runner.bytes_per_token

    def bind(self, host: Host) -> None:
        """Raises UnsupportedError for another tokenizer."""
        if differences := self.tokenizer.differences(host.tokenizer):
            raise UnsupportedError(f"drafter {self.name!r} has another tokenizer than the target: {'; '.join(differences)}")
        self.hosts[host.target] = host
        self.runner.allocate(sum(-(-each.max_tokens // BLOCK_SIZE) for each in self.hosts.values()))

    def start(self, sequence: Sequence) -> None:
        self.runner.rows.open(sequence.id)

    def stop(self, sequence: Sequence) -> None:
        self.runner.rows.close(sequence.id)
        self._drafted.pop(sequence.id, None)

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """Learn from what became of the draft, and forget what was not committed."""
        self._settle(sequence)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        drafts = [
            Growing(sequence, len(sequence.tokens), self.room(sequence, length))
            for sequence, length in zip(sequences, lengths, strict=True)
        ]
        growing = [draft for draft in drafts if draft.length > 0]
        for draft in growing:
            self._settle(draft.sequence)
            self._drafted[draft.sequence.id] = draft
            self._catch_up(draft.sequence)
        while growing:
            self.extend(growing)
            growing = [draft for draft in growing if not draft.done]
        return [draft.draft(self.name) for draft in drafts]

    def room(self, sequence: Sequence, length: int) -> int:
        """The draft length, at most `length`, that the model's context and its cache have room for; the last token is never fed."""
        rows, known = self.runner.rows, len(sequence.tokens)
        length = min(length, self.max_position - known + 1)
        return length if length > 0 and rows.reserve(rows[sequence.id], known + length - 1) else 0

    def extend(self, growing: list[Growing]) -> None:
        """Write one more token of each draft."""
        raise NotImplementedError

    def cached(self, sequence: Sequence) -> int:
        """How many positions of a sequence the model has read."""
        raise NotImplementedError

    def read(self, sequence: Sequence, start: int, tokens: list[int]) -> None:
        """Read committed tokens, without drafting."""
        raise NotImplementedError

    def rewind(self, sequence: Sequence, length: int) -> None:
        """Forget what was read from position `length` on."""
        raise NotImplementedError

    def learn(self, draft: Growing, right: int) -> None:
        """So many tokens of a draft were right; whether one after them was wrong is seen in the sequence."""
        return None

    def close(self) -> None:
        self._drafted.clear()
        self.runner.close()

    def _settle(self, sequence: Sequence) -> None:
        draft = self._drafted.pop(sequence.id, None)
        if draft is not None and draft.tokens:
            right = draft.agreed
            self.learn(draft, right)
            self.rewind(sequence, draft.start + right)

    def _catch_up(self, sequence: Sequence) -> None:
        """Read what the model has not seen of the text, in chunks, but for a last chunk left to `extend`."""
        while len(sequence.tokens) - (start := self.cached(sequence)) > _CATCH_UP_TOKENS:
            self.read(sequence, start, sequence.tokens[start : start + _CATCH_UP_TOKENS])

    def fit(self, logits: Tensor, sequence: Sequence) -> Tensor:
        """Logits over the vocabulary of a sequence's target: padding ids are cut off, or filled with what is never drawn."""
        missing = self.hosts[sequence.target].vocab_size - logits.shape[-1]
        if missing > 0:
            return nn.functional.pad(logits, (0, missing), value=float("-inf"))
        return logits[..., : logits.shape[-1] + missing]
