"""From logits to tokens: the target's distribution after all processing, and the choice that shared noise makes.

At the j-th position of a draft everything is computed as if the j drafted tokens before it were committed, so what
is chosen there is what plain decoding would choose. Target and draft models use the same functions. Knows nothing of
caches, batches or acceptance.

    chosen = choose_tokens(logits, [Position(sequence, drafted=()), ...])
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from math import exp
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from covey import noise
from covey.sampling_params import SamplingParams
from covey.types import Sequence, TokenLogprob, Work

_NEVER = float("-inf")
_TOP_P_FIRST_TRY = 512
_SHORTLIST, _MISSED = 128, 1 / 32
_RIVALS = 16


@dataclass(frozen=True)
class Position:
    """A place where a token is chosen: after the sequence's tokens and the drafted ones."""

    sequence: Sequence
    drafted: tuple[int, ...] = ()

    @property
    def index(self) -> int:
        return len(self.sequence.tokens) + len(self.drafted)


def places(work: Work) -> list[Position]:
    """Where a target chooses: after each prefix of a work's draft, the empty one first, and behind each of its branches."""
    draft = work.draft
    line = [Position(work.sequence, draft.tokens[:length]) for length in range(len(draft) + 1)]
    return line + [Position(work.sequence, (*draft.tokens[: branch.place], branch.token)) for branch in draft.branches]


def choose_tokens(logits: Tensor, positions: list[Position]) -> list[int]:
    """The token at each position: logits [N, V], N positions -> N token ids."""
    return _choose(_processed(logits, positions), positions)


@dataclass(frozen=True)
class Choice:
    """A chosen token; the model's own probability of it, after all processing; and by how much, in nats, it beat its best
    rival, noise included (infinite where there is none). likely: the likeliest tokens and their probabilities, where asked for. rival:
    that one, and its probability; None where there is none."""

    token: int
    probability: float
    margin: float
    likely: tuple[tuple[int, float], ...] = ()
    rival: tuple[int, float] | None = None

    def named(self, ids: Seq[int]) -> Choice:
        """The same where tokens were counted by their places among these ids."""
        likely = tuple((ids[token], probability) for token, probability in self.likely)
        rival = self.rival and (ids[self.rival[0]], self.rival[1])
        return replace(self, token=ids[self.token], likely=likely, rival=rival)


def weigh_choices(logits: Tensor, positions: list[Position], likely: bool = False, ids: Tensor | None = None) -> list[Choice]:
    """What a draft chooses at each position, and what tells how sure that is: logits [N, V], N positions -> N choices.

    As choose_tokens, but that a sampled token is looked for among the 128 likeliest, unless it is another one more often than once in 32
    times: what is so unlikely is hardly ever right. Rivals are the 16 likeliest, and those are told where `likely` asks for them.
    ids: which tokens the columns are of, [V], ascending, where a draft knows some of a vocabulary; choices then name columns. For
    requests that treat tokens by their scores alone.
    """
    if not likely and all(p.sequence.params.plain_greedy for p in positions):
        return _weigh_likeliest(logits)
    scores = _processed(logits, positions)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    places, shares = scores.topk(min(_SHORTLIST, scores.shape[1])).indices, scores.softmax(-1)
    probabilities = shares.gather(1, places).numpy(force=True)  # [N, listed]
    exactly = _in_full(probabilities, positions)
    if exactly:  # what is chosen among all stands behind those that are listed
        last = places[:, :1].clone()
        last[exactly, 0] = torch.tensor(_choose(scores[exactly], [positions[i] for i in exactly], ids), device=scores.device)
        places = torch.cat([places, last], 1)
        probabilities = shares.gather(1, places).numpy(force=True)
    columns, values = places.numpy(force=True), scores.gather(1, places).double().numpy(force=True)
    noisy = [i for i, p in enumerate(positions) if p.sequence.params.temperature > 0]
    if noisy:
        named = columns[noisy] if ids is None else ids.numpy(force=True)[columns[noisy]]
        values[noisy] += noise.gumbels([positions[i].sequence.seed for i in noisy], [positions[i].index for i in noisy], named)
    rows, winners = np.arange(len(positions)), values.argmax(1)
    winners[exactly] = columns.shape[1] - 1
    chosen = columns[rows, winners]
    others = np.where(columns[:, :_RIVALS] == chosen[:, None], _NEVER, values[:, :_RIVALS])
    best = others.argmax(1)
    margins = (values[rows, winners] - others[rows, best]).tolist()
    told = _told(columns[:, :_RIVALS], probabilities[:, :_RIVALS]) if likely else [()] * len(positions)
    rivals = _rivals(margins, columns[rows, best].tolist(), probabilities[rows, best].tolist())
    found = chosen.tolist(), probabilities[rows, winners].tolist(), margins, told, rivals
    return [Choice(*each) for each in zip(*found, strict=True)]


def _in_full(shares: NDArray[Any], positions: list[Position]) -> list[int]:
    """Positions at which the likeliest, of these probabilities [N, listed], are not enough to look at: another token is drawn too often, or
    nothing is drawn and the first of equals counts, which may not be listed first."""
    enough = shares.sum(1) >= 1 - _MISSED
    return [i for i, p in enumerate(positions) if p.sequence.params.temperature == 0 or not enough[i]]


def _weigh_likeliest(logits: Tensor) -> list[Choice]:
    """The same where nothing is asked for but the likeliest token, in few operations: a small draft's guess is not many more."""
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    best = scores.topk(min(2, scores.shape[1]))
    probabilities: list[float] = scores.softmax(-1).amax(-1).tolist()
    margins: list[float] = (-best.values.diff()[:, 0]).tolist() if scores.shape[1] > 1 else [float("inf")] * len(scores)
    # Of equals the target takes the first, which topk does not promise.
    tokens: list[int] = (best.indices[:, 0] if all(margins) else scores.argmax(-1)).tolist()
    second: list[list[int]] = best.indices.tolist()
    others = [next((each for each in pair if each != token), token) for pair, token in zip(second, tokens, strict=True)]
    shares = [probability * exp(-margin) for probability, margin in zip(probabilities, margins, strict=True)]
    return [
        Choice(token, probability, margin, (), rival)
        for token, probability, margin, rival in zip(tokens, probabilities, margins, _rivals(margins, others, shares), strict=True)
    ]


def _rivals(margins: list[float], tokens: list[int], probabilities: list[float]) -> list[tuple[int, float] | None]:
    """Those that there are: who beats nobody does so by an infinite margin."""
    told = zip(margins, tokens, probabilities, strict=True)
    return [(token, probability) if margin < float("inf") else None for margin, token, probability in told]


def _told(ids: NDArray[Any], probabilities: NDArray[Any]) -> list[tuple[tuple[int, float], ...]]:
    """Pairs of token and probability for each position, without those that cannot come: ids, probabilities [N, M]."""
    rows = zip(ids.tolist(), probabilities.tolist(), strict=True)
    return [tuple((token, p) for token, p in zip(tokens, ps, strict=True) if p > 0) for tokens, ps in rows]


def _processed(logits: Tensor, positions: list[Position]) -> Tensor:
    """log p up to a constant at each position: [N, V]; the logits themselves where nothing is asked for but the likeliest token."""
    if all(p.sequence.params.plain_greedy for p in positions):
        return logits
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    for row, position in zip(scores, positions, strict=True):
        _process(row, position)
    return scores


def _choose(scores: Tensor, positions: list[Position], ids: Tensor | None = None) -> list[int]:
    """The column of each position's choice."""
    noisy = [i for i, p in enumerate(positions) if p.sequence.params.temperature > 0]
    if not noisy:
        return [*scores.argmax(-1).tolist()]
    seeds, places = [positions[i].sequence.seed for i in noisy], [positions[i].index for i in noisy]
    everywhere = len(noisy) == len(positions)
    drawn = noise.choose(_spread(scores if everywhere else scores[noisy], ids), seeds, places)
    if ids is not None:
        drawn = torch.searchsorted(ids, torch.tensor(drawn, device=ids.device)).tolist()
    if everywhere:
        return drawn
    chosen: list[int] = scores.argmax(-1).tolist()
    for i, token in zip(noisy, drawn, strict=True):
        chosen[i] = token
    return chosen


def _spread(scores: Tensor, ids: Tensor | None) -> Tensor:
    """Scores of some tokens, where the vocabulary has them: up to the last of them."""
    if ids is None:
        return scores
    return scores.new_full((len(scores), int(ids[-1]) + 1), _NEVER).index_copy_(1, ids, scores)


def process(logits: Tensor, position: Position) -> Tensor:
    """log p up to a constant, after all processing: logits [V] -> float scores [V], -inf where p = 0.

    The order is that of SamplingParams. Ties at the border of top_k and top_p are all kept, so that the result
    does not depend on how a sort breaks them.
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    _process(scores, position)
    return scores


def _process(scores: Tensor, position: Position) -> None:
    """The same, in place."""
    params = position.sequence.params
    _penalise(scores, position)
    for token, bias in params.logit_bias.items():
        scores[token] += bias
    if position.index - len(position.sequence.prompt) < params.min_tokens:
        scores[list(position.sequence.end_ids)] = _NEVER
    _constrain(scores, position)
    if params.temperature > 0:
        scores /= params.temperature
        _truncate(scores, params)


def _penalise(scores: Tensor, position: Position) -> None:
    """Repetition penalty over prompt and output (Keskar et al. 2019), presence and frequency over output; in place."""
    params, sequence = position.sequence.params, position.sequence
    if params.repetition_penalty != 1:
        seen = torch.tensor(sorted({*sequence.tokens, *position.drafted}), device=scores.device)
        known = scores[seen]
        scores[seen] = torch.where(known > 0, known / params.repetition_penalty, known * params.repetition_penalty)
    if params.presence_penalty or params.frequency_penalty:
        output = torch.tensor([*sequence.output, *position.drafted], dtype=torch.long, device=scores.device)
        tokens, counts = output.unique(return_counts=True)
        scores[tokens] -= params.presence_penalty + params.frequency_penalty * counts.to(scores.dtype)


def _constrain(scores: Tensor, position: Position) -> None:
    """What the request's grammar forbids is never chosen; in place. A draft that breaks it is rejected where it does, and what
    is chosen after that is of no matter."""
    constraint = position.sequence.constraint
    allowed = None if constraint is None else constraint.allowed([*position.sequence.output, *position.drafted])
    if allowed is None:
        return
    bits = np.unpackbits(np.frombuffer(allowed, dtype=np.uint8), count=scores.shape[0], bitorder="little")  # [V]
    kept = torch.from_numpy(bits).bool().to(scores.device)
    scores.masked_fill_(~kept, _NEVER)
    if scores.max() == _NEVER:  # a draft model whose output matrix has none of these tokens: all are alike to it
        scores.masked_fill_(kept, 0.0)


def _truncate(scores: Tensor, params: SamplingParams) -> None:
    """top_k, then top_p, then min_p, each on what the one before left; in place."""
    vocab = scores.shape[0]
    if 0 < params.top_k < vocab:
        scores[scores < scores.topk(params.top_k).values[-1]] = _NEVER
    if params.top_p < 1:
        scores[scores < _top_p_border(scores, params.top_p)] = _NEVER
    if params.min_p > 0:
        scores[scores < scores.max() + torch.log(torch.tensor(params.min_p, dtype=scores.dtype))] = _NEVER


def _top_p_border(scores: Tensor, top_p: float) -> Tensor:
    """The score of the last token of the smallest set, taken from the likeliest down, that holds top_p."""
    total = scores.double().logsumexp(-1)
    size = min(_TOP_P_FIRST_TRY, scores.shape[0])
    while True:  # a full sort of a large vocabulary costs more than the model's own last layer
        best = scores.topk(size).values
        mass = (best.double() - total).exp().cumsum(-1)
        if mass[-1] >= top_p or size == scores.shape[0]:
            # Rounding may leave the whole vocabulary a hair below top_p: then all of it is kept.
            inside = int((mass < top_p).sum())
            return best[min(inside, size - 1)]
        size = min(size * 8, scores.shape[0])


def token_logprob(logits: Tensor, token: int, count: int) -> TokenLogprob:
    """The log probability of a token under the unprocessed distribution, and the `count` best: logits [V]."""
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logprobs = scores - scores.logsumexp(-1)
    best = logprobs.topk(count) if count else None
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best else ()
    return TokenLogprob(token, float(logprobs[token]), int((logprobs > logprobs[token]).sum()), top)
