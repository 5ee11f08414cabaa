"""What sorted training minimises: the mean over exits of cross-entropy and of distillation from the target.

Knows nothing of optimisers or files.

    Objective(draft, ce=1.0, kl=1.0)(input_ids, attention_mask, labels, top_ids, top_logprobs)["loss"]
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from covey.model.nested import NestedDraft
from covey.train.dataset import IGNORED

_STEP_WEIGHT = 0.7


class Objective(nn.Module):
    """The loss of a nested draft on a batch, with whether each exit guessed the target's token.

    ce weighs cross-entropy with the target's own tokens; ce = 1 and kl = 0 is SoFT, the loss of S2D (arXiv 2407.01955,
    section 3). kl weighs the divergence from the target's distribution, over its recorded likeliest tokens, renormalised.
    Tokens that the draft's output matrix does not know are not learned, and count as missed.

    unroll, of a self draft: how many tokens of a draft are practised. The first is read with the target's hidden states, each
    further one with what the draft's own last exit left, as it will be when it drafts; each weighs 0.7 of the one before
    (after training-time test, EAGLE-3, arXiv 2503.01840; here every position takes the step at once). A further token is practised
    where the text went on with what the target said, for elsewhere no draft would have got there.
    """

    def __init__(self, draft: NestedDraft, ce: float, kl: float, unroll: int = 1) -> None:
        super().__init__()
        self.draft, self.ce, self.kl, self.unroll = draft, ce, kl, unroll

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, top_ids: Tensor, top_logprobs: Tensor, gift: Tensor
    ) -> dict[str, Tensor]:
        """Batches as `dataset.collate` makes them -> loss [], hits [B, T, unroll x exits]: 1, 0, or -1 where nothing is predicted."""
        asked = labels != IGNORED  # [B, T]
        exits = len(self.draft.config.exits)
        hits = labels.new_full((*labels.shape, self.unroll * exits), -1)
        losses, weights = [], []
        for step in range(self.unroll):
            wanted = self.draft.positions(labels[asked])  # [M]
            teacher = self._teacher(top_ids[asked], top_logprobs[asked]) if self.kl else None
            states = self.draft.hidden_states(input_ids, attention_mask, gift)
            for number, hidden in enumerate(states):
                logits = self.draft.head(hidden[asked]).float()  # [M, N]
                losses.append(self._loss(logits, wanted, teacher))
                weights.append(_STEP_WEIGHT**step)
                hits[..., step * exits + number][asked] = (logits.argmax(-1) == wanted).to(hits.dtype)
            gift = nn.functional.pad(states[-1][:, :-1], (0, 0, 1, 0))
            asked = (labels != IGNORED) & _one_on(asked & (labels == _one_back(input_ids)))
        total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)
        return {"loss": torch.as_tensor(total), "hits": hits}

    def _loss(self, logits: Tensor, wanted: Tensor, teacher: tuple[Tensor, Tensor] | None) -> Tensor:
        loss = logits.new_zeros(())
        if self.ce:
            # A sum over a count that is never 0: a batch may hold no token that the draft knows.
            total = functional.cross_entropy(logits, wanted, ignore_index=-1, reduction="sum")
            loss = loss + self.ce * total / (wanted >= 0).sum().clamp(min=1)
        if teacher is not None:
            at, p = teacher
            log_q = logits.log_softmax(-1).gather(1, at)
            known = p.sum(-1) > 0
            divergence = torch.where(p > 0, p * (p.clamp(min=1e-9).log() - log_q), 0).sum(-1)
            loss = loss + self.kl * divergence.sum() / known.sum().clamp(min=1)
        return loss

    def _teacher(self, top_ids: Tensor, top_logprobs: Tensor) -> tuple[Tensor, Tensor]:
        """Places in the output matrix [M, K], and the target's probabilities there, which sum to 1 where any is known."""
        at = self.draft.positions(top_ids)
        p = torch.where(at >= 0, top_logprobs.exp(), 0)
        return at.clamp(min=0), p / p.sum(-1, keepdim=True).clamp(min=1e-9)


def _one_on(flags: Tensor) -> Tensor:
    """What is so at each position is so at the next one: bool [B, T] -> the same."""
    return functional.pad(flags[:, :-1], (1, 0), value=False)


def _one_back(ids: Tensor) -> Tensor:
    """At each position the token behind it, -1 behind the last: [B, T] -> the same."""
    return functional.pad(ids[:, 1:], (0, 1), value=-1)
