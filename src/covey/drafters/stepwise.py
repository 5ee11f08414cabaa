"""What drafters have in common whose model guesses over a cache of its own.

`Stepwise` keeps the hosts and the rows; a subclass says how the model guesses, and what it means to read and to forget. It
knows neither layers nor logits.

    class MyDrafter(Stepwise):
        def guess(self, growing): ...      # one pass, a guess for each
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from covey.drafters.guesser import Growing, Guesser
from covey.errors import UnsupportedError
from covey.rows import BLOCK_SIZE, Row, RowPool
from covey.types import Host, Sequence

_CATCH_UP_TOKENS = 512


class Runner(Protocol):
    """What runs the model: rows, and the cache behind them."""

    rows: RowPool

    def allocate(self, num_blocks: int) -> None: ...

    def inherit(self, row: Row, of: Row, length: int, room: int) -> bool: ...

    @property
    def bytes_per_token(self) -> int: ...

    def close(self) -> None: ...


class Stepwise(Guesser):
    """A drafter with a model and a cache of rows; all sequences of a proposal grow together.

    One set of weights and one cache serve all targets that it is bound to. Past max_position, the model's context limit, a
    sequence gets no drafts and goes on without.
    """

    serves_several = True

    def __init__(self, name: str, runner: Runner, tokenizer: Any, vocab_size: int, max_position: int) -> None:
        super().__init__()
        self.name, self.runner = name, runner
        self.tokenizer, self.vocab_size, self.max_position = tokenizer, vocab_size, max_position
        self.hosts: dict[str, Host] = {}

    @property
    def bytes_per_token(self) -> int:
        return self.runner.bytes_per_token

    def bind(self, host: Host) -> None:
        """Raises UnsupportedError for another tokenizer."""
        if differences := self.tokenizer.differences(host.tokenizer):
            raise UnsupportedError(f"drafter {self.name!r} has another tokenizer than the target: {'; '.join(differences)}")
        self.hosts[host.target] = host
        self.runner.allocate(sum(-(-each.max_tokens // BLOCK_SIZE) for each in self.hosts.values()))

    def row_id(self, sequence: Sequence) -> int:
        """What its row is called among all rows of the runner."""
        return sequence.id

    def row(self, sequence: Sequence) -> Row:
        """Where the model keeps what it has read of a sequence."""
        return self.runner.rows[self.row_id(sequence)]

    def origin(self, sequence: Sequence) -> int:
        """The position of the text that its row begins with."""
        return 0

    def start(self, sequence: Sequence) -> None:
        self.runner.rows.open(self.row_id(sequence))

    def rest(self, sequence: Sequence) -> None:
        self.runner.rows.rest(self.row(sequence), self.cached(sequence) - self.origin(sequence))

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> None:
        """What the model has read of the other one, as far as that is neither a draft nor given up meanwhile."""
        row, draft, origin = self.row(of), self._open.get(of.id), self.origin(of)
        length = min(length, self.cached(of), origin + row.capacity, draft.start if draft else length)
        if length > origin and self.runner.inherit(self.row(sequence), row, length - origin, len(sequence.tokens) - origin):
            self.adopt(sequence, of, length)

    def adopt(self, sequence: Sequence, of: Sequence, length: int) -> None:
        """The row of a sequence has another one's positions up to `length`: whatever else is kept of them follows."""
        return None

    def stop(self, sequence: Sequence) -> None:
        super().stop(sequence)
        self.runner.rows.close(self.row_id(sequence))

    def close(self) -> None:
        super().close()
        self.runner.close()

    def room(self, sequence: Sequence, length: int) -> int:
        """What the model's context and its cache have room for; the last token is never fed."""
        row, origin = self.row(sequence), self.origin(sequence)
        known = len(sequence.tokens) - origin
        length = min(length, self.max_position - known + 1)
        if self.cached(sequence) > origin + row.capacity:  # it rested, and its place was wanted
            self.rewind(sequence, origin + row.capacity)
        return length if length > 0 and self.runner.rows.reserve(row, known + length - 1) else 0

    def prepare(self, growing: list[Growing]) -> None:
        """What the model has not seen of a long text is read first, in chunks, but for a last chunk left to `guess`.

        Not before it is asked: a member of a collective may never be.
        """
        for draft in growing:
            while draft.start - (cached := self.cached(draft.sequence)) > _CATCH_UP_TOKENS:
                self.read(draft.sequence, cached, draft.sequence.tokens[cached : cached + _CATCH_UP_TOKENS])

    def unread(self, sequence: Sequence, written: int = 0) -> int:
        return len(sequence.tokens) + written - self.cached(sequence) - 1

    def cached(self, sequence: Sequence) -> int:
        """How many positions of a sequence the model has read."""
        raise NotImplementedError

    def read(self, sequence: Sequence, start: int, tokens: list[int]) -> None:
        """Read committed tokens, without drafting."""
        raise NotImplementedError

    def fit(self, logits: Tensor, sequence: Sequence) -> Tensor:
        """Logits over the vocabulary of a sequence's target: padding ids are cut off, or filled with what is never drawn."""
        missing = self.hosts[sequence.target].vocab_size - logits.shape[-1]
        if missing > 0:
            return nn.functional.pad(logits, (0, missing), value=float("-inf"))
        return logits[..., : logits.shape[-1] + missing]
