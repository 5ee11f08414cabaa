"""A nested draft as drafter: each token is read off at the first exit that is sure enough of it.

Runs to the first exit; while the estimated probability that the choice there is right is under that exit's threshold,
runs on to the next one. Layers that were skipped catch up in one batch, from hidden states that were kept, the next
time that the sequence goes so deep. Sequences of a batch may stop at different exits.

    LLM("smollm2", drafters=[NestedDrafter("draft-folder")])

S2D, Sorted Speculative Decoding (arXiv 2407.01955, section 3.2); the choice by shared noise and the probabilities
learned online are covey's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from covey.drafters.growing import Growing, agreed, room_for
from covey.drafters.hits import HitTable
from covey.errors import CoveyError, UnsupportedError
from covey.model.attention import NAME as ATTENTION
from covey.model.exits import ExitRunner
from covey.model.load import LoadedModel, load
from covey.model.nested import NestedDraft, read_config
from covey.model.runner import Feed
from covey.model.sampling import Position, choice_probability, choose_tokens
from covey.rows import BLOCK_SIZE
from covey.types import Draft, Drafter, Host, Sequence

_CATCH_UP_TOKENS = 512
# A draft's own probability of its choice, by the lower ends of classes; within a class an exit's hit rate is learned.
_CONFIDENCES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class Confidence:
    """How probable it is that an exit's choice is right: its own probability, corrected by what came of such choices."""

    def __init__(self, exits: int) -> None:
        middles = [(low + high) / 2 for low, high in zip(_CONFIDENCES, (*_CONFIDENCES[1:], 1.0), strict=True)]
        self.table = HitTable(middles * exits)

    def kind(self, number: int, probability: float) -> int:
        return number * len(_CONFIDENCES) + sum(probability >= low for low in _CONFIDENCES[1:])


@dataclass(frozen=True)
class _Choice:
    """A drafted token, and the kind of evidence for it."""

    token: int
    kind: int


class _Depths:
    """How far one sequence is cached at each stage, and what the stages left where the next one has not been yet."""

    def __init__(self, stages: int) -> None:
        self.cached = [0] * stages
        self.kept: list[list[Tensor]] = [[] for _ in range(stages)]  # for each stage, what the one before left: [n, H] each

    def shorten(self, length: int) -> None:
        """Forget positions from `length` on."""
        for stage, cached in enumerate(self.cached):
            self.cached[stage] = min(cached, length)
        for stage in range(1, len(self.cached)):
            held = self.held(stage)[: max(0, self.cached[stage - 1] - self.cached[stage])]
            self.kept[stage] = [held] if len(held) else []

    def held(self, stage: int) -> Tensor:
        """What the stage before left at positions that this one has not seen: [cached before - cached here, H]."""
        if len(self.kept[stage]) > 1:
            self.kept[stage] = [torch.cat(self.kept[stage])]
        return self.kept[stage][0] if self.kept[stage] else torch.empty(0, 0)

    def left(self, stage: int, hidden: Tensor) -> None:
        """A stage has run over so many more positions."""
        self.cached[stage] += len(hidden)
        if stage + 1 < len(self.cached):
            self.kept[stage + 1].append(hidden)
        if stage:
            self.kept[stage] = []


class NestedDrafter(Drafter):
    """Drafts with a nested draft, token by token, for all sequences at once.

    draft: the folder of a trained draft. base: the model whose input embedding it reads; None takes the one it names.
    thresholds: one from 0 to 1 for each exit but the last: 0 never goes deeper, 1 always does. None takes those that the
    draft was calibrated with for this target, or else always reads off at the last exit.

    Survival is the product of the estimated probabilities at the exits used. Past the layers' context limit a sequence
    gets no drafts and goes on without. Raises CoveyError for thresholds out of range, UnsupportedError when draft, base
    and target do not fit together.
    """

    def __init__(
        self,
        draft: str | Path,
        *,
        base: str | LoadedModel | None = None,
        thresholds: tuple[float, ...] | None = None,
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        folder = Path(draft)
        config, layers = read_config(folder)
        stages = len(config.exits)
        if thresholds is not None and (len(thresholds) != stages - 1 or not all(0 <= t <= 1 for t in thresholds)):
            raise CoveyError(f"thresholds={thresholds}: give {stages - 1} numbers from 0 to 1, one for each exit but the last")
        loaded = base if isinstance(base, LoadedModel) else load(base or config.base, dtype=dtype, device=device)
        self.name = f"nested:{folder.name}"
        self.tokenizer = loaded.tokenizer
        self.vocab_size = config.vocab_size
        self.max_position = int(layers.max_position_embeddings)
        self.exits, self.calibrated, self.thresholds = config.exits, config.thresholds, thresholds
        nested = NestedDraft.load(folder, loaded, ATTENTION)
        self.parameter_bytes = sum(p.numel() * p.element_size() for p in nested.parameters())
        self.runner = ExitRunner(nested)
        self.host: Host | None = None
        self.confidence = Confidence(stages)
        self._depths: dict[int, _Depths] = {}
        self._drafted: dict[int, tuple[int, list[_Choice]]] = {}  # by sequence: where the last draft began, and its tokens

    @property
    def bytes_per_token(self) -> int:
        return self.runner.bytes_per_token

    def bind(self, host: Host) -> None:
        if differences := self.tokenizer.differences(host.tokenizer):
            raise UnsupportedError(f"drafter {self.name!r} has another tokenizer than the target: {'; '.join(differences)}")
        if self.vocab_size > host.vocab_size:
            raise UnsupportedError(f"drafter {self.name!r} knows {self.vocab_size} tokens, the target only {host.vocab_size}")
        self.host = host
        if self.thresholds is None:
            self.thresholds = tuple(self.calibrated.get(host.target, [1.0] * (len(self.exits) - 1)))
        self.runner.allocate(-(-host.max_tokens // BLOCK_SIZE))

    def start(self, sequence: Sequence) -> None:
        self.runner.rows.open(sequence.id)
        self._depths[sequence.id] = _Depths(self.runner.num_stages)

    def stop(self, sequence: Sequence) -> None:
        self.runner.rows.close(sequence.id)
        self._depths.pop(sequence.id, None)
        self._drafted.pop(sequence.id, None)

    def close(self) -> None:
        self._depths.clear()
        self.runner.close()

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """Learn how far each kind of choice can be trusted, and forget what was not committed."""
        self._settle(sequence)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        draftings = [
            Growing(s, room_for(self.runner.rows, s, length, self.max_position)) for s, length in zip(sequences, lengths, strict=True)
        ]
        growing = [d for d in draftings if d.length > 0]
        for drafting in growing:
            self._settle(drafting.sequence)
            self._drafted[drafting.sequence.id] = (len(drafting.sequence.tokens), [])
            self._catch_up(drafting.sequence)
        while growing:
            self._extend(growing)
            growing = [d for d in growing if not d.done]
        return [drafting.draft(self.name) for drafting in draftings]

    def _settle(self, sequence: Sequence) -> None:
        """Score the last draft as far as the text has reached, up to its first miss, and forget its rejected positions."""
        start, choices = self._drafted.pop(sequence.id, (0, []))
        if not choices:
            return
        right = agreed(sequence, start, [choice.token for choice in choices])
        for index, choice in enumerate(choices[: min(right + 1, len(sequence.tokens) - start)]):
            self.confidence.table.record(choice.kind, index < right)
        self._depths[sequence.id].shorten(start + right)

    def _catch_up(self, sequence: Sequence) -> None:
        """Feed the first stage what it has not seen of the text, in chunks, but for a last chunk left to `_extend`."""
        depths, row = self._depths[sequence.id], self.runner.rows[sequence.id]
        while len(sequence.tokens) - depths.cached[0] > _CATCH_UP_TOKENS:
            start = depths.cached[0]
            depths.left(0, self.runner.run(0, [Feed(row, start, sequence.tokens[start : start + _CATCH_UP_TOKENS], 0)]))

    def _extend(self, draftings: list[Growing]) -> None:
        """One more token for each draft: all to the first exit, and on with those that are not sure enough."""
        assert self.thresholds is not None
        deeper = draftings
        for stage in range(self.runner.num_stages):
            last = self._run(stage, deeper)
            logits = self._fit(self.runner.logits(last))
            tokens = choose_tokens(logits, [Position(d.sequence, tuple(d.tokens)) for d in deeper])
            probabilities = choice_probability(logits, tokens, [d.sequence.params for d in deeper])
            unsure: list[Growing] = []
            for drafting, token, probability in zip(deeper, tokens, probabilities, strict=True):
                kind = self.confidence.kind(stage, probability)
                sure = self.confidence.table.probability(kind)
                if stage < len(self.thresholds) and (sure < self.thresholds[stage] or self.thresholds[stage] == 1):
                    unsure.append(drafting)
                else:
                    drafting.add(token, sure)
                    self._drafted[drafting.sequence.id][1].append(_Choice(token, kind))
            if not unsure:
                return
            deeper = unsure

    def _run(self, stage: int, draftings: list[Growing]) -> Tensor:
        """One stage over all positions that it has not seen; what it leaves at the last one of each sequence: [M, H]."""
        feeds, held = [], []
        for drafting in draftings:
            depths = self._depths[drafting.sequence.id]
            start = depths.cached[stage]
            unseen = drafting.unseen(start)
            feeds.append(Feed(self.runner.rows[drafting.sequence.id], start, unseen, 0))
            if stage:
                held.append(depths.held(stage))
        left = self.runner.run(stage, feeds, torch.cat(held) if stage else None).split([len(feed.tokens) for feed in feeds])
        for drafting, hidden in zip(draftings, left, strict=True):
            self._depths[drafting.sequence.id].left(stage, hidden)
        return torch.stack([hidden[-1] for hidden in left])

    def _fit(self, logits: Tensor) -> Tensor:
        """Logits over the target's vocabulary: what only the target has is never drawn."""
        assert self.host is not None
        missing = self.host.vocab_size - logits.shape[-1]
        return torch.nn.functional.pad(logits, (0, missing), value=float("-inf")) if missing else logits
