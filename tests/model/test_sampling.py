"""How sure choices are: the short way for the likeliest token says what the long way says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covey import SamplingParams, noise
from covey.model.sampling import Position, choose_tokens, weigh_choices
from covey.types import Sequence

PLACES = [Position(Sequence(id=number, prompt=(1,), params=SamplingParams(temperature=0))) for number in range(8)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("vocabulary", [1, 2, 500])
def test_the_short_way_for_the_likeliest_token_is_the_long_way(dtype, vocabulary):
    logits = torch.randn(len(PLACES), vocabulary, generator=torch.Generator().manual_seed(0)).to(dtype)
    short, long = weigh_choices(logits, PLACES), weigh_choices(logits, PLACES, likely=True)
    for one, other in zip(short, long, strict=True):
        assert one.token == other.token and one.likely == ()
        assert (one.probability, one.margin) == pytest.approx((other.probability, other.margin), rel=1e-6)
        assert (one.rival is None) == (other.rival is None) == (vocabulary == 1)
        if one.rival and other.rival and one.margin:
            assert one.rival == (other.rival[0], pytest.approx(other.rival[1], rel=1e-2))


def test_of_equals_the_first_is_chosen():
    logits = torch.zeros(len(PLACES), 40)
    logits[:, [7, 9, 30]] = 3.0
    for choice in weigh_choices(logits, PLACES):
        assert (choice.token, choice.margin) == (7, 0.0)
        assert choice.rival is not None and choice.rival[0] in (9, 30)


AT = SamplingParams(temperature=0.8)
SAMPLED = [Position(Sequence(id=number, prompt=(1, number), params=AT, seed=number)) for number in range(40)]


def test_a_sampled_choice_is_the_targets_own_where_few_tokens_are_likely():
    """Whether it is looked for among the likeliest alone or not; with its probability, and by how much it beat the best rival."""
    logits = -1.5 * torch.log1p(torch.stack([torch.randperm(5000, generator=torch.Generator().manual_seed(n)) for n in range(40)]).float())
    logits[::4] /= 3  # here the 128 likeliest are not enough
    scores = (logits / 0.8).double()
    for position, choice, row in zip(SAMPLED, weigh_choices(logits, SAMPLED), scores, strict=True):
        values = row.numpy() + noise.gumbel(position.sequence.seed, position.index, np.arange(5000))
        rivals = [token for token in row.topk(16).indices.tolist() if token != values.argmax()]
        assert choice.token == values.argmax() == choose_tokens((row * 0.8).float()[None], [position])[0]
        assert choice.probability == pytest.approx(row.softmax(-1)[choice.token].item(), rel=1e-4)
        assert choice.margin == pytest.approx(values[choice.token] - values[rivals].max(), abs=1e-4)
        assert choice.rival == (rivals[values[rivals].argmax()], pytest.approx(row.softmax(-1)[choice.rival[0]].item(), rel=1e-4))


@pytest.mark.parametrize("likely", [False, True])
def test_a_draft_that_knows_some_of_the_vocabulary_chooses_as_if_the_rest_were_impossible(likely):
    ids = torch.arange(3, 5000, 7)
    known = torch.randn(40, len(ids), generator=torch.Generator().manual_seed(0)) * 6
    every = torch.full((40, 5000), float("-inf")).index_copy_(1, ids, known)
    for some, whole in zip(weigh_choices(known, SAMPLED, likely, ids), weigh_choices(every, SAMPLED, likely), strict=True):
        named = some.named(ids.tolist())
        assert (named.token, [token for token, _ in named.likely]) == (whole.token, [token for token, _ in whole.likely])
        assert (named.probability, named.margin) == pytest.approx((whole.probability, whole.margin), rel=1e-4)
