"""A smaller causal LM of the same tokenizer as drafter.

Keeps a KV cache of its own, addressed like the target's, catches up on committed tokens by itself, and chooses with
the request's own processing and the shared noise, so that where it agrees with the target it proposes the same token.

    LLM("big-model", drafters=[ModelDrafter("small-model")])
"""

from __future__ import annotations

from covey.drafters.confidence import runner_up
from covey.drafters.guesser import Growing, Guess
from covey.drafters.stepwise import Stepwise
from covey.model.load import LoadedModel, load
from covey.model.runner import Feed, ModelRunner
from covey.model.sampling import Position, weigh_choices
from covey.types import Sequence


class ModelDrafter(Stepwise):
    """Drafts with a whole model, token by token, for all sequences at once.

    Survival is the product of the draft model's own probabilities of its choices. Past the draft model's context
    limit a sequence gets no drafts and goes on without. Raises UnsupportedError when the tokenizers differ.

    Named, it is loaded for drafting alone, so that it may run through rounded weights where that is faster; a
    model that is handed over may be somebody's target, too, and is run as it is.
    """

    runner: ModelRunner

    def __init__(self, model: str | LoadedModel, *, dtype: str = "auto", device: str = "auto", compiled: bool = False) -> None:
        loaded = load(model, dtype=dtype, device=device) if isinstance(model, str) else model
        runner = ModelRunner(loaded, compiled, exact=not isinstance(model, str))
        self.parameter_bytes = runner.parameter_bytes
        super().__init__(f"model:{loaded.name}", runner, loaded.tokenizer, loaded.vocab_size, loaded.max_position)

    def cached(self, sequence: Sequence) -> int:
        return self.row(sequence).length

    def read(self, sequence: Sequence, start: int, tokens: list[int]) -> None:
        row = self.row(sequence)
        self.runner.forward([Feed(row, start, tokens, 0)])
        row.length = start + len(tokens)

    def rewind(self, sequence: Sequence, length: int) -> None:
        row = self.row(sequence)
        row.length = min(row.length, length)

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        """One forward pass."""
        feeds = []
        for draft in growing:
            row = self.row(draft.sequence)
            feeds.append(Feed(row, row.length, draft.unseen(row.length), 1))
        logits = self.fit(self.runner.forward(feeds), growing[0].sequence)
        for feed in feeds:
            feed.row.length += len(feed.tokens)
        choices = weigh_choices(logits, [Position(d.sequence, tuple(d.tokens)) for d in growing], self.tells_likely)
        return [Guess(c.token, c.probability, likely=c.likely, others=runner_up(c, c.probability)) for c in choices]
