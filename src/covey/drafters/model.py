"""A smaller causal LM of the same tokenizer as drafter.

Keeps a KV cache of its own, addressed like the target's, catches up on committed tokens by itself, and chooses with
the request's own processing and the shared noise, so that where it agrees with the target it proposes the same token.

    LLM("big-model", drafters=[ModelDrafter("small-model")])
"""

from __future__ import annotations

import torch
from torch import Tensor

from covey.drafters.growing import Growing, agreed, room_for
from covey.errors import UnsupportedError
from covey.model.load import LoadedModel, load
from covey.model.runner import Feed, ModelRunner
from covey.model.sampling import Position, choice_probability, choose_tokens
from covey.rows import BLOCK_SIZE
from covey.types import Draft, Drafter, Host, Sequence

_CATCH_UP_TOKENS = 512


class ModelDrafter(Drafter):
    """Drafts with a whole model, token by token, for all sequences at once.

    Survival is the product of the draft model's own probabilities of its choices. Past the draft model's context
    limit a sequence gets no drafts and goes on without. Raises UnsupportedError when the tokenizers differ.
    """

    def __init__(self, model: str | LoadedModel, *, dtype: str = "auto", device: str = "auto", compiled: bool = False) -> None:
        loaded = load(model, dtype=dtype, device=device) if isinstance(model, str) else model
        self.name = f"model:{loaded.name}"
        self.tokenizer, self.vocab_size, self.max_position = loaded.tokenizer, loaded.vocab_size, loaded.max_position
        self.parameter_bytes = loaded.parameter_bytes
        self.runner = ModelRunner(loaded, compiled)
        self.host: Host | None = None
        self._drafted: dict[int, tuple[int, list[int]]] = {}  # by sequence: where the last draft began, its tokens

    @property
    def bytes_per_token(self) -> int:
        return self.runner.bytes_per_token

    def bind(self, host: Host) -> None:
        if differences := self.tokenizer.differences(host.tokenizer):
            raise UnsupportedError(f"drafter {self.name!r} has another tokenizer than the target: {'; '.join(differences)}")
        self.host = host
        self.runner.allocate(-(-host.max_tokens // BLOCK_SIZE))

    def start(self, sequence: Sequence) -> None:
        self.runner.rows.open(sequence.id)

    def stop(self, sequence: Sequence) -> None:
        self.runner.rows.close(sequence.id)
        self._drafted.pop(sequence.id, None)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        draftings = [
            Growing(s, room_for(self.runner.rows, s, length, self.max_position)) for s, length in zip(sequences, lengths, strict=True)
        ]
        growing = [d for d in draftings if d.length > 0]
        for drafting in growing:
            self._rewind(drafting.sequence)
        self._catch_up(growing)
        while growing:
            self._extend(growing)
            growing = [d for d in growing if not d.done]
        for drafting in draftings:
            self._drafted[drafting.sequence.id] = (len(drafting.sequence.tokens), drafting.tokens)
        return [drafting.draft(self.name) for drafting in draftings]

    def _rewind(self, sequence: Sequence) -> None:
        """Forget the cached positions whose drafted tokens were not committed."""
        start, tokens = self._drafted.get(sequence.id, (0, []))
        row = self.runner.rows[sequence.id]
        row.length = min(row.length, start + agreed(sequence, start, tokens)) if tokens else row.length

    def _catch_up(self, draftings: list[Growing]) -> None:
        """Feed committed tokens that the draft model has not seen, in chunks, but for a last chunk left to `_extend`."""
        for drafting in draftings:
            sequence, row = drafting.sequence, self.runner.rows[drafting.sequence.id]
            while len(sequence.tokens) - row.length > _CATCH_UP_TOKENS:
                chunk = sequence.tokens[row.length : row.length + _CATCH_UP_TOKENS]
                self.runner.forward([Feed(row, row.length, chunk, 0)])
                row.length += len(chunk)

    def _extend(self, draftings: list[Growing]) -> None:
        """One forward pass, one more token for each draft."""
        feeds = []
        for drafting in draftings:
            row = self.runner.rows[drafting.sequence.id]
            feeds.append(Feed(row, row.length, drafting.unseen(row.length), 1))
        logits = self._fit(self.runner.forward(feeds))
        chosen = choose_tokens(logits, [Position(d.sequence, tuple(d.tokens)) for d in draftings])
        probabilities = choice_probability(logits, chosen, [d.sequence.params for d in draftings])
        for drafting, feed, token, probability in zip(draftings, feeds, chosen, probabilities, strict=True):
            feed.row.length += len(feed.tokens)
            drafting.add(token, probability)

    def _fit(self, logits: Tensor) -> Tensor:
        """Logits over the target's vocabulary: padding ids are cut off, or filled with what is never drawn."""
        assert self.host is not None
        missing = self.host.vocab_size - logits.shape[-1]
        if missing > 0:
            return torch.nn.functional.pad(logits, (0, missing), value=float("-inf"))
        return logits[:, : self.host.vocab_size]

    def close(self) -> None:
        self.runner.close()
