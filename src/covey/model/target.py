"""A target model in this process: verifies drafts in one forward pass and chooses every token by the shared noise.

Knows nothing of scheduling or of where drafts come from.

    target = LocalTarget(load("smollm2", ...)); target.allocate(num_blocks); target.verify(works)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from covey.accept import accept
from covey.errors import OutOfMemoryError
from covey.model.load import LoadedModel
from covey.model.runner import Feed, ModelRunner
from covey.model.sampling import Position, choose_tokens, token_logprob
from covey.rows import RowPool
from covey.types import Sequence, Verdict, Work


class LocalTarget:
    """A transformers model as target. See types.Target."""

    def __init__(self, loaded: LoadedModel, compiled: bool = False) -> None:
        self.name = loaded.name
        self.vocab_size = loaded.vocab_size
        self.max_model_len = loaded.max_position
        self.tokenizer = loaded.tokenizer
        self.end_ids = loaded.end_ids
        self.device, self.dtype = str(loaded.device), str(loaded.dtype).removeprefix("torch.")
        self.parameter_bytes = loaded.parameter_bytes
        self.hidden_size = int(loaded.config.get_text_config().hidden_size)
        self.runner = ModelRunner(loaded, compiled)

    @property
    def rows(self) -> RowPool:
        return self.runner.rows

    @property
    def bytes_per_token(self) -> int:
        return self.runner.bytes_per_token

    def allocate(self, num_blocks: int) -> None:
        self.runner.allocate(num_blocks)

    def start(self, sequence: Sequence) -> None:
        self.rows.open(sequence.id)

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> bool:
        return self.runner.inherit(self.rows[sequence.id], self.rows[of.id], length, len(sequence.tokens))

    def stop(self, sequence: Sequence) -> None:
        self.rows.close(sequence.id)

    def verify(self, works: list[Work], give: Callable[[Sequence, int, Tensor], None] | None = None) -> list[Verdict | None]:
        """One pass over all works. Afterwards each row is valid up to the last token that is committed or accepted."""
        feeds, positions = [], []
        for work in works:
            fed = work.sequence.tokens[work.start : work.start + work.count] + list(work.draft.tokens)
            wanted = [Position(work.sequence, work.draft.tokens[:j]) for j in range(len(work.draft) + 1)] if work.complete else []
            feeds.append(Feed(self.rows[work.sequence.id], work.start, fed, len(wanted)))
            positions += wanted
        logits, hidden = self.runner.forward_hidden(feeds) if give is not None else (self.runner.forward(feeds), None)
        chosen = iter(choose_tokens(logits, positions) if positions else [])
        verdicts: list[Verdict | None] = []
        offset = 0
        for work, feed in zip(works, feeds, strict=True):
            feed.row.length = work.start + work.count
            if not work.complete:
                verdicts.append(None)
                continue
            verdict = accept(work.draft.tokens, [next(chosen) for _ in range(feed.wanted)])
            feed.row.length += verdict.accepted
            verdicts.append(self._with_logprobs(verdict, work.sequence, logits[offset : offset + feed.wanted]))
            offset += feed.wanted
        if give is not None and hidden is not None:
            for work, feed, left in zip(works, feeds, hidden.split([len(feed.tokens) for feed in feeds]), strict=True):
                give(work.sequence, work.start, left[: feed.row.length - work.start])
        return verdicts

    def read(self, texts: list[list[int]], ends: list[int]) -> list[tuple[Tensor, Tensor]]:
        """One pass over texts that are no sequences: for each, the logits of its last `ends` tokens [end, V], and the hidden
        states of all [tokens, H]. Raises OutOfMemoryError where the cache has no room for them.
        """
        rows = [self.rows.open(-1 - number) for number in range(len(texts))]
        try:
            for row, text in zip(rows, texts, strict=True):
                if not self.rows.reserve(row, len(text)):
                    raise OutOfMemoryError(f"cache_memory: there is no room for {sum(map(len, texts))} tokens at once; set it higher")
            feeds = [Feed(row, 0, text, end + 1) for row, text, end in zip(rows, texts, ends, strict=True)]
            logits, hidden = self.runner.forward_hidden(feeds)
        finally:
            for row in rows:
                self.rows.close(row.id)
        # The logits after a text's last token say what would come next: nobody asks.
        read = zip(logits.split([end + 1 for end in ends]), hidden.split([len(text) for text in texts]), strict=True)
        return [(each[:-1], states) for each, states in read]

    @staticmethod
    def _with_logprobs(verdict: Verdict, sequence: Sequence, logits: Tensor) -> Verdict:
        count = sequence.params.logprobs
        if count is None:
            return verdict
        return replace(verdict, logprobs=tuple(token_logprob(row, t, count) for row, t in zip(logits, verdict.tokens, strict=False)))

    def close(self) -> None:
        self.runner.close()
