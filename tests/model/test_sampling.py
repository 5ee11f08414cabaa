"""How sure choices are: the short way for the likeliest token says what the long way says."""

from __future__ import annotations

import pytest
import torch

from covey import SamplingParams
from covey.model.sampling import Position, weigh_choices
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


def test_of_equals_the_first_is_chosen():
    logits = torch.zeros(len(PLACES), 40)
    logits[:, [7, 9, 30]] = 3.0
    for choice in weigh_choices(logits, PLACES):
        assert (choice.token, choice.margin) == (7, 0.0)
