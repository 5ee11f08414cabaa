"""A nested draft as drafter: each token is read off at the first exit that is sure enough of it.

Runs to the first exit; while the estimated probability that the choice there is right is under that exit's threshold,
runs on to the next one. Layers that were skipped catch up in one batch, from hidden states that were kept, the next
time that the sequence goes so deep. Sequences of a batch may stop at different exits.

A draft that reads the target's hidden states (see model/nested.py) takes its own in their stead along a draft, and reads what
was accepted once more with the target's, in the first pass of the next draft. It looks back a little only: where more of a text has
gone by unread, a long prompt or what others drafted, it begins anew near the end.

    LLM("smollm2", drafters=[NestedDrafter("draft-folder")])

S2D, Sorted Speculative Decoding (arXiv 2407.01955, section 3.2); the choice by shared noise, the estimates and their
calibration are covey's.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from covey.drafters.confidence import UNCALIBRATED, Confidence, runner_up
from covey.drafters.depths import Depths
from covey.drafters.gifts import Gifts
from covey.drafters.guesser import Growing, Guess
from covey.drafters.stack import Part, Stack
from covey.drafters.stepwise import Stepwise
from covey.errors import CoveyError, UnsupportedError
from covey.model.attention import NAME as ATTENTION
from covey.model.deltas import weights_digest
from covey.model.exits import ExitRunner, stacked_runner
from covey.model.load import LoadedModel, load
from covey.model.nested import Calibration, NestedDraft, read_config
from covey.model.runner import Feed
from covey.model.sampling import Choice
from covey.types import Draft, Host, Sequence

# What the target knows of a text is in its hidden states: further back a self draft hardly looks (docs/log.md).
_LOOKS_BACK = 64


@dataclass(frozen=True)
class _Evidence:
    """The exit that a token was read off at, the token, and the estimate there."""

    exit: int
    token: int
    estimate: float


class NestedDrafter(Stepwise):
    """Drafts with a nested draft, token by token, for all sequences at once, of one or several targets.

    draft: the folder of a trained draft. base: the model whose input embedding it reads; None takes the one it names.
    thresholds: one from 0 to 1 for each exit but the last, for every target: 0 never goes deeper, 1 always does. None takes
    thresholds and longest draft that were calibrated for the target, or else always reads off at the last exit.

    Survival is the product of the estimated probabilities at the exits used. Past the layers' context limit a sequence
    gets no drafts and goes on without. Raises CoveyError for thresholds out of range, UnsupportedError when draft, base
    and target do not fit together.
    """

    runner: ExitRunner

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
        self.config, layers = read_config(folder)
        stages = len(self.config.exits)
        if thresholds is not None and (len(thresholds) != stages - 1 or not all(0 <= t <= 1 for t in thresholds)):
            raise CoveyError(f"thresholds={thresholds}: give {stages - 1} numbers from 0 to 1, one for each exit but the last")
        loaded = base if isinstance(base, LoadedModel) else load(base or self.config.base, dtype=dtype, device=device)
        nested = NestedDraft.load(folder, loaded, ATTENTION)
        plain = sum(p.numel() * p.element_size() for p in nested.parameters())
        name, limit = f"nested:{folder.name}", int(layers.max_position_embeddings)
        super().__init__(name, ExitRunner(nested), loaded.tokenizer, self.config.vocab_size, limit)
        self.parameter_bytes = plain - self.runner.saved_bytes
        self.folder, self.seat, self.stack = folder, 0, Stack(self.runner, [self])
        self.wants_hidden = self.runner.wants_gift
        self.serves_several = not self.wants_hidden
        self.looks_back = _LOOKS_BACK if self.wants_hidden else None
        self.given = thresholds
        self.calibrations: dict[str, Calibration] = {}  # by target
        self.confidences: dict[str, Confidence] = {}
        self._depths: dict[int, Depths] = {}
        self._gifts: dict[int, Gifts] = {}

    @property
    def kin(self) -> Hashable | None:
        """Drafts that were made from one by deltas, and that one. Not a drafter that is put together, bound or changed already."""
        if len(self.stack.seated) > 1 or self.hosts or type(self).guess is not NestedDrafter.guess:
            return None
        runner, basis = self.runner, self.config.basis
        try:
            trunk = weights_digest(self.folder) if basis is None else basis.sha256
        except OSError:  # the folder went after it was read
            return None
        return trunk, self.config.embedding_sha256, runner.dtype, runner.device

    def together(self, others: list[NestedDrafter]) -> Stack:
        """From now on all run in one runner, over one cache, and the weights that they have in common are held once."""
        seated = [self, *others]
        runner, sizes = stacked_runner(self.runner, [(each.folder, each.config.basis) for each in seated])
        stack = Stack(runner, seated)
        for seat, (drafter, size) in enumerate(zip(seated, sizes, strict=True)):
            drafter.runner.close()
            drafter.runner, drafter.stack, drafter.seat, drafter.parameter_bytes = runner, stack, seat, size
        return stack

    def row_id(self, sequence: Sequence) -> int:
        return sequence.id * len(self.stack.seated) + self.seat

    @property
    def bytes_per_token(self) -> int:
        """With the target's hidden states, which are kept until they are read."""
        return super().bytes_per_token + (self.runner.hidden_size * self.runner.dtype.itemsize if self.wants_hidden else 0)

    def bind(self, host: Host) -> None:
        super().bind(host)
        if self.vocab_size > host.vocab_size:
            raise UnsupportedError(f"drafter {self.name!r} knows {self.vocab_size} tokens, the target only {host.vocab_size}")
        if self.wants_hidden and host.hidden_size != self.runner.hidden_size:
            given = f"has hidden states of size {host.hidden_size}" if host.hidden_size else "gives no hidden states"
            why = f"it reads hidden states of {self.config.base!r}, of size {self.runner.hidden_size}, and {host.model!r} {given}"
            raise UnsupportedError(f"drafter {self.name!r}: {why}; use a standalone draft, or train one for this target")
        self.calibrate(host.target, self._calibration(host))

    def calibrate(self, target: str, found: Calibration) -> None:
        """Draft for a target as calibrated; what was learned online for it is forgotten."""
        self.calibrations[target] = found
        self.confidences[target] = Confidence(found.confidence)

    def _calibration(self, host: Host) -> Calibration:
        stages = len(self.config.exits)
        found = self.config.calibrations.get(host.model) or Calibration((1.0,) * (stages - 1), host.max_model_len, (UNCALIBRATED,) * stages)
        return found if self.given is None else Calibration(self.given, host.max_model_len, found.confidence)

    def start(self, sequence: Sequence) -> None:
        super().start(sequence)
        self._depths[sequence.id] = Depths(self.runner.num_stages)
        if self.wants_hidden:
            self._gifts[sequence.id] = Gifts(torch.empty(0, self.runner.hidden_size, dtype=self.runner.dtype, device=self.runner.device))

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> None:
        """With the target's hidden states that are not read yet: the target will not tell them again."""
        if self.wants_hidden:
            self._gifts[sequence.id] = self._gifts[of.id].until(length)
        super().inherit(sequence, of, length)

    def adopt(self, sequence: Sequence, of: Sequence, length: int) -> None:
        self._depths[sequence.id] = self._depths[of.id].until(length)

    def stop(self, sequence: Sequence) -> None:
        super().stop(sequence)
        self._depths.pop(sequence.id, None)
        self._gifts.pop(sequence.id, None)

    def close(self) -> None:
        self._depths.clear()
        self._gifts.clear()
        super().close()

    def receive(self, sequence: Sequence, start: int, hidden: Tensor) -> None:
        """Keep what the target left until it has been read, or is too far back."""
        gifts, stop = self._gifts[sequence.id], start + len(hidden)
        needed = max(start, stop - 1 - _LOOKS_BACK)
        gifts.add(needed, hidden[needed - start :])
        if len(gifts) > 2 * _LOOKS_BACK:
            gifts.drop(needed)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        """As Guesser, no longer than was found to pay, unless a controller or a vote decides how long."""
        return super().propose(sequences, self._paying(sequences, lengths))

    def propose_ahead(self, sequences: list[Sequence], sent: list[int], lengths: list[int]) -> list[Draft]:
        """The same. The hidden states along it are the draft's own, from its beginning."""
        return super().propose_ahead(sequences, sent, self._paying(sequences, lengths))

    def _paying(self, sequences: list[Sequence], lengths: list[int]) -> list[int]:
        if self._floor is not None:
            return lengths
        caps = [self.calibrations[sequence.target].num_tokens for sequence in sequences]
        return [min(length, cap) for length, cap in zip(lengths, caps, strict=True)]

    def room(self, sequence: Sequence, length: int) -> int:
        """As Stepwise; nothing while the target's hidden states do not reach to the end of what it has read."""
        if self.wants_hidden:
            if self._gifts[sequence.id].stop < len(sequence.tokens) - 1:
                return 0
            self._look_back(sequence)
        return super().room(sequence, length)

    def _look_back(self, sequence: Sequence) -> None:
        """Begin anew near the end of a text of which much has not been read, as far back as there are hidden states."""
        depths, gifts, last = self._depths[sequence.id], self._gifts[sequence.id], len(sequence.tokens) - 1
        if last - depths.cached[0] > _LOOKS_BACK:
            depths.begin(min(last, max(last - _LOOKS_BACK, gifts.start + 1)))
            gifts.drop(depths.origin - 1)

    def origin(self, sequence: Sequence) -> int:
        return self._depths[sequence.id].origin

    def cached(self, sequence: Sequence) -> int:
        return self._depths[sequence.id].cached[0]

    def read(self, sequence: Sequence, start: int, tokens: list[int]) -> None:
        feed = Feed(self.row(sequence), start, tokens, 0)
        self._depths[sequence.id].left(0, len(tokens), self.runner.run(0, [feed], None, [self.seat]))

    def rewind(self, sequence: Sequence, length: int) -> None:
        """As told; and what was read without the target's own hidden states is to be read again."""
        depths = self._depths[sequence.id]
        depths.shorten(min(length, depths.firm) if self.wants_hidden else length)

    def learn(self, sequence: Sequence, evidence: _Evidence, token: int) -> None:
        """How far each exit's estimates can be trusted."""
        self.confidences[sequence.target].record(evidence.exit, evidence.estimate, evidence.token == token)

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        """All to the first exit, and on with those that are not sure enough."""
        return [*self.stack.guess([Part(self, draft) for draft in growing])]

    def choices(self, stage: int, growing: list[Growing]) -> list[Choice]:
        """Run one stage over all positions that it has not seen, and what its exit chooses next in each draft."""
        return self.stack.choices(stage, [Part(self, draft) for draft in growing])

    def judge(self, stage: int, draft: Growing, choice: Choice) -> Guess | None:
        """What an exit's choice is worth; None where it is not sure enough, and the next exit is to be asked."""
        confidence = self.confidences[draft.sequence.target]
        estimate = confidence.estimate(stage, choice)
        if self._asks_deeper(stage, estimate, draft.sequence.target):
            return None
        probability = confidence.corrected(stage, estimate)
        return Guess(choice.token, probability, _Evidence(stage, choice.token, estimate), choice.likely, runner_up(choice, probability))

    def lags(self, stage: int, draft: Growing) -> bool:
        """Whether a stage has more of a draft to read."""
        return self._depths[draft.sequence.id].cached[stage] < draft.start + len(draft.tokens)

    def feed(self, stage: int, draft: Growing) -> tuple[Feed, Tensor | None]:
        """What a stage has not seen of a draft, and what it reads beside the tokens or in their stead.

        The first stage of a self draft reads on in written tokens one by one: each takes what was left at the one before.
        """
        depths = self._depths[draft.sequence.id]
        start = depths.cached[stage]
        unseen, given = draft.unseen(start), None
        if stage:
            given = depths.held(stage)
        elif self.wants_hidden:
            unseen = unseen[: max(1, draft.start - start)]
            given = self._gift(draft, start)
        return Feed(self.row(draft.sequence), start - depths.origin, unseen, 0), given

    def left(self, stage: int, draft: Growing, count: int, hidden: Tensor | None, normed: Tensor) -> None:
        """What a stage left at so many positions where it was fed; the last of it, normed, may stand for the target's own after that."""
        depths = self._depths[draft.sequence.id]
        depths.left(stage, count, hidden)
        if self.wants_hidden:
            depths.guess = normed

    def _gift(self, draft: Growing, start: int) -> Tensor:
        """What the first stage is given from position `start` on: the target's hidden states, or along the draft a guess."""
        depths = self._depths[draft.sequence.id]
        if start >= draft.start:
            assert depths.guess is not None
            return depths.guess
        depths.firm = draft.start
        return self._given(draft.sequence, start, draft.start - start)

    def _given(self, sequence: Sequence, start: int, count: int) -> Tensor:
        """What the target left one position before each of `count` positions from `start` on; what was before is not needed again."""
        gifts = self._gifts[sequence.id]
        given = gifts.of(start - 1, start - 1 + count)
        gifts.drop(start - 1 + count)
        return given

    def _asks_deeper(self, stage: int, estimate: float, target: str) -> bool:
        """1 always asks and 0 never does, whatever the estimate."""
        thresholds = self.calibrations[target].thresholds
        return stage < len(thresholds) and (estimate < thresholds[stage] or thresholds[stage] == 1)
