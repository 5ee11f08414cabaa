"""Shared noise: one stateless Gumbel variable for every (seed, position, token), and the choice that it makes.

Knows nothing of models or requests. Target and drafters call the same functions with their own scores, so that
equal distributions choose equal tokens, and any subset of the vocabulary can be evaluated anywhere, in any order.

The noise is an exponential race. Of a block of 64 token ids the winner's arrival time E is Exp(64), the winner is
uniform, and by memorylessness every other id arrives at E plus a fresh Exp(1); -log(arrival) are then independent
standard Gumbel variables. A block's best noise is thus known from one hash, which bounds what its tokens can reach:
`choose` evaluates a few blocks instead of the whole vocabulary and still returns the exact argmax.

The noise of some tokens is computed by numpy, whose operations on a few numbers take a third of the time of torch's; scores of a whole
vocabulary stay on their device.

    token = choose(log_p[None], [seed], [position])[0]
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence as Seq
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 64
_TRIED_FIRST = 8  # blocks whose best value decides which others are looked at; measured, see docs/log.md
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_TOKENS, _BLOCKS = 0x2545F4914F6CDD1D, 0xD1342543DE82EF95  # two unrelated streams


def _signed(value: int) -> int:
    """The same 64 bits as the signed integer that torch stores."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014) on Python integers."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


Numbers = TypeVar("Numbers", NDArray[Any], Tensor)  # int64 or float64; what is done to them is written once, for both kinds


def _shift(x: Numbers, bits: int) -> Numbers:
    """Logical right shift; that of signed integers is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _hash(keys: Numbers, ids: Numbers) -> Numbers:
    """The ids-th outputs of SplitMix64 generators seeded with keys: int64 [...], bit-equal on every device."""
    x = keys + (ids + 1) * _signed(_GOLDEN)
    x = (x ^ _shift(x, 30)) * _signed(_MIX_1)
    x = (x ^ _shift(x, 27)) * _signed(_MIX_2)
    return x ^ _shift(x, 31)


def _exponential(bits: Numbers) -> Numbers:
    """Exp(1) in float64 from 64 random bits. The uniform is odd / 2**53: never 0, never 1, exactly representable."""
    odd = _shift(bits, 11) | 1
    if isinstance(odd, Tensor):
        return -torch.log(odd.double() * 2.0**-53)
    return -np.log(odd * 2.0**-53)


def sequence_seed(seed: int, prompt: Seq[int], index: int) -> int:
    """The seed of one completion: depends on the request alone (seed, prompt, index), never on its batch."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(seed.to_bytes(8, "little") + index.to_bytes(8, "little"))
    digest.update(b"".join(token.to_bytes(8, "little") for token in prompt))
    return int.from_bytes(digest.digest(), "little")


def _keys(seeds: Seq[int], positions: Seq[int], stream: int) -> list[int]:
    return [_signed(_mix(_mix(seed ^ stream) + position * _GOLDEN)) for seed, position in zip(seeds, positions, strict=True)]


def gumbel(seed: int, position: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Standard Gumbel noise of token ids [...] at one position of one sequence."""
    return gumbels([seed], [position], ids.reshape(1, -1)).reshape(ids.shape)


def gumbels(seeds: Seq[int], positions: Seq[int], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """The same for many positions at once: ids [N, M], a row for each seed and position -> [N, M]."""
    keys = np.array([_keys(seeds, positions, stream) for stream in (_BLOCKS, _TOKENS)])[:, :, None]
    blocks = ids // BLOCK
    bits = _hash(keys, np.stack([blocks, ids]))  # of blocks and tokens at once: half as many operations on a few numbers
    first, later = _exponential(bits)
    first /= BLOCK
    winner = blocks * BLOCK + (bits[0] & (BLOCK - 1))  # low bits: the uniform above uses the high ones
    return -np.log(np.where(ids == winner, first, first + later))


def choose(scores: Tensor, seeds: Seq[int], positions: Seq[int]) -> list[int]:
    """For each row of scores [N, V] (log p up to a constant, -inf where p = 0) the argmax of score + gumbel.

    An exact sample of softmax(scores) per row; ties go to the lowest id. Evaluates the few blocks with the best bounds,
    then those whose bound reaches the best value found there.
    """
    count, vocab = scores.shape
    if vocab % BLOCK:
        scores = torch.nn.functional.pad(scores, (0, BLOCK - vocab % BLOCK), value=float("-inf"))
    blocks = scores.reshape(-1, BLOCK)  # [N * B, 64]: from here on blocks of all rows are numbered through
    per_row, device = len(blocks) // count, scores.device
    token_keys, block_keys = (torch.tensor(_keys(seeds, positions, stream), device=device) for stream in (_TOKENS, _BLOCKS))
    block_bits = _hash(block_keys[:, None], torch.arange(per_row, device=device)).view(-1)
    first = _exponential(block_bits) / BLOCK  # when each block's winner arrives
    bound = (blocks.amax(-1).double() - torch.log(first)).view(count, per_row)
    lanes = torch.arange(BLOCK, device=device)

    def values(chosen: Tensor) -> Tensor:
        """Score + noise of all tokens of the chosen blocks [M]: float64 [M, 64]; as `gumbel`, from what is known already."""
        ids = (chosen % per_row)[:, None] * BLOCK + lanes
        after = _exponential(_hash(token_keys[chosen // per_row][:, None], ids))
        after.scatter_(1, (block_bits[chosen] & (BLOCK - 1))[:, None], 0.0)
        return blocks[chosen].double() - torch.log(first[chosen][:, None] + after)

    best_bounds = bound.topk(min(_TRIED_FIRST, per_row)).indices + torch.arange(count, device=device)[:, None] * per_row
    floor = values(best_bounds.view(-1)).view(count, -1).amax(-1)
    chosen = torch.nonzero((bound >= floor[:, None]).view(-1))[:, 0]
    best, lane = values(chosen).max(-1)
    tokens = chosen % per_row * BLOCK + lane
    winners: list[tuple[float, int]] = [(float("-inf"), 0)] * count
    for row, value, token in zip((chosen // per_row).tolist(), best.tolist(), tokens.tolist(), strict=True):
        if value > winners[row][0]:  # blocks come in ascending order, so an equal later one loses
            winners[row] = (value, token)
    return [token for _, token in winners]
