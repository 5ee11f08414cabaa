"""A target model in this process: verifies drafts in one forward pass and chooses every token by the shared noise.

Knows nothing of scheduling or of where drafts come from.

    target = LocalTarget(load("smollm2", ...)); target.allocate(num_blocks); target.verify(works)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from covey.accept import accept, chosen_at
from covey.errors import OutOfMemoryError
from covey.model.load import LoadedModel
from covey.model.runner import Feed, ModelRunner
from covey.model.sampling import choose_tokens, places, token_logprob
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
        self.branches = not self.runner.sums_in_pairs

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
        feeds = [self._feed(work) for work in works]
        positions = [position for work in works if work.complete for position in places(work)]
        logits, hidden = self.runner.forward_hidden(feeds) if give is not None else (self.runner.forward(feeds), None)
        chosen = choose_tokens(logits, positions) if positions else []
        verdicts: list[Verdict | None] = []
        asked = fed = 0  # how many choices and tokens belong to works before
        for work, feed in zip(works, feeds, strict=True):
            end = asked + work.draft.size + 1 if work.complete else asked
            verdict = accept(work.draft.tokens, chosen[asked:end], work.draft.branches) if work.complete else None
            stands = self._commit(work, feed, verdict)
            if verdict is not None:
                verdict = self._with_logprobs(verdict, work, logits[asked:end])
            if give is not None and hidden is not None:
                give(work.sequence, work.start, hidden[[fed + number for number in stands]])
            verdicts.append(verdict)
            asked, fed = end, fed + work.num_tokens
        return verdicts

    def _feed(self, work: Work) -> Feed:
        """What is committed and its draft, with its branches beside it. Room has been reserved for as many tokens as they are together."""
        draft, committed = work.draft, work.start + work.count
        line = work.sequence.tokens[work.start : committed] + list(draft.tokens)
        beside = self.runner.beside([(committed + branch.place, branch.token) for branch in draft.branches], committed + len(draft))
        return Feed(self.rows[work.sequence.id], work.start, line, len(draft) + 1 if work.complete else 0, beside)

    def _commit(self, work: Work, feed: Feed, verdict: Verdict | None) -> list[int]:
        """Let the row end with what stands; returns which of the work's tokens that are, in the order of positions."""
        row = feed.row
        row.length = work.start + work.count + (verdict.accepted if verdict else 0)
        stands = list(range(row.length - work.start))
        if verdict is not None and verdict.branch is not None:
            came = feed.beside[verdict.branch]
            if came.kept_at != came.position:
                self.runner.move(row, came.kept_at, came.position)
            row.length += 1
            stands.append(len(feed.tokens) + verdict.branch)
        return stands

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
    def _with_logprobs(verdict: Verdict, work: Work, logits: Tensor) -> Verdict:
        """logits: where tokens were chosen for this work, in the order of `places`."""
        count = work.sequence.params.logprobs
        if count is None:
            return verdict
        told = zip(logits[chosen_at(verdict, len(work.draft))], verdict.tokens, strict=True)
        return replace(verdict, logprobs=tuple(token_logprob(row, token, count) for row, token in told))

    def close(self) -> None:
        self.runner.close()
