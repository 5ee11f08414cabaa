"""The shared noise: the same for every subset of ids, standard Gumbel, independent, and its choice exact."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from covey import noise

VOCABULARY = 151_936
# Every statistical test below rejects a correct implementation with this probability; seeds are fixed, so it either
# always passes or always fails.
FALSE_ALARM = 1e-4


def every_id(size: int = VOCABULARY) -> np.ndarray:
    return np.arange(size)


def test_a_subset_of_ids_has_the_values_of_the_whole_vocabulary():
    whole = noise.gumbel(1, 2, every_id())
    subset = np.array([151_935, 0, 77, 64, 63, 77])
    assert (noise.gumbel(1, 2, subset) == whole[subset]).all()


def test_known_values_do_not_change_between_versions():
    """The published first outputs of SplitMix64 for seed 1234567: recorded seeds stay good only while these do."""
    bits = noise._hash(np.array([1234567]), np.array([0, 1, 2]))
    assert [b % (1 << 64) for b in bits.tolist()] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("axis", ["token", "position", "seed", "sequence seed"])
def test_noise_is_standard_gumbel_along_every_axis(axis):
    ids = np.array([12_345])
    draws = {
        "token": lambda: noise.gumbel(3, 11, every_id(20_000)),
        "position": lambda: np.concatenate([noise.gumbel(3, p, ids) for p in range(4000)]),
        "seed": lambda: np.concatenate([noise.gumbel(s, 11, ids) for s in range(4000)]),
        "sequence seed": lambda: np.concatenate([noise.gumbel(noise.sequence_seed(0, [1], i), 11, ids) for i in range(4000)]),
    }[axis]()
    assert stats.kstest(draws, "gumbel_r").pvalue > FALSE_ALARM


def test_noise_at_a_real_vocabulary_is_gumbel_and_its_best_token_uniform():
    assert stats.kstest(noise.gumbel(9, 4, every_id()), "gumbel_r").pvalue > FALSE_ALARM
    flat = torch.zeros(400, VOCABULARY)
    best = noise.choose(flat, [9] * 400, list(range(400)))
    assert stats.kstest([(b + 0.5) / VOCABULARY for b in best], "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("step", [(0, 1), (1, 0)], ids=["next position", "next seed"])
def test_neighbouring_seeds_and_positions_are_uncorrelated(step):
    here, there = noise.gumbel(5, 5, every_id()), noise.gumbel(5 + step[1], 5 + step[0], every_id())
    assert stats.spearmanr(here, there).pvalue > FALSE_ALARM


@pytest.mark.parametrize("lag", [1, 2, 63, 64, 65, 128])
def test_neighbouring_tokens_are_uncorrelated(lag):
    values = noise.gumbel(5, 5, every_id())
    assert stats.spearmanr(values[:-lag], values[lag:]).pvalue > FALSE_ALARM


def test_tokens_of_one_block_are_independent():
    """Pairs inside a block share its winner: joint counts of four quartiles each must still multiply."""
    values = np.stack([noise.gumbel(7, p, np.array([3, 40])) for p in range(8000)])
    quartile = np.searchsorted(stats.gumbel_r.ppf([0.25, 0.5, 0.75]), values)
    counts = torch.zeros(4, 4)
    for a, b in quartile.tolist():
        counts[a, b] += 1
    assert stats.chisquare(counts.flatten().numpy()).pvalue > FALSE_ALARM


def test_completions_and_prompts_have_noise_of_their_own():
    seeds = {noise.sequence_seed(1, prompt, index) for prompt in ([1], [2], [1, 1]) for index in range(3)}
    assert len(seeds) == 9


@given(st.integers(0, 2**64 - 1), st.integers(0, 10_000), st.integers(1, 300), st.sampled_from([0.1, 1.0, 8.0]))
def test_choose_is_the_argmax_over_all_tokens(seed, position, vocab, sharpness):
    scores = torch.randn(3, vocab, generator=torch.Generator().manual_seed(position)) * sharpness
    scores[0, vocab // 2 :] = float("-inf")
    scores[0, 0] = 0.0
    chosen = noise.choose(scores, [seed, seed, seed ^ 1], [position, position + 1, position])
    keys = [(seed, position), (seed, position + 1), (seed ^ 1, position)]
    expected = [(row.double().numpy() + noise.gumbel(*key, every_id(vocab))).argmax().item() for row, key in zip(scores, keys, strict=True)]
    assert chosen == expected


def test_choose_at_a_real_vocabulary_is_the_argmax_over_all_tokens():
    scores = torch.randn(8, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3
    expected = [(row.double().numpy() + noise.gumbel(4, i, every_id())).argmax().item() for i, row in enumerate(scores)]
    assert noise.choose(scores, [4] * 8, list(range(8))) == expected


def test_choose_never_takes_a_token_of_probability_zero():
    scores = torch.full((50, 130), float("-inf"))
    scores[:, 129] = -1000.0
    assert noise.choose(scores, list(range(50)), [0] * 50) == [129] * 50


def test_numbers_and_tensors_are_hashed_alike():
    keys, ids = np.array([[1234567], [-5]]), every_id(2000)
    bits = noise._hash(keys, ids)
    assert (noise._hash(torch.from_numpy(keys), torch.from_numpy(ids)).numpy() == bits).all()
    np.testing.assert_allclose(noise._exponential(torch.from_numpy(bits)).numpy(), noise._exponential(bits), rtol=1e-15)


@pytest.mark.gpu
def test_a_gpu_hashes_to_the_same_bits_and_chooses_the_same_tokens():
    ids, keys = torch.arange(VOCABULARY), torch.tensor([1234567])
    assert torch.equal(noise._hash(keys.cuda(), ids.cuda()).cpu(), noise._hash(keys, ids))
    scores = torch.randn(200, 5000, generator=torch.Generator().manual_seed(0)) * 3
    places = list(range(200))
    assert noise.choose(scores.cuda(), places, places) == noise.choose(scores, places, places)
