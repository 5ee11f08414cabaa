"""How a token is elected: the mixture's choice is the target's own where their distributions are equal, and may be nobody's guess."""

from __future__ import annotations

import pytest
import torch

from covey import SamplingParams, noise
from covey.drafters import CollectiveDrafter, ModelDrafter, SuffixDrafter
from covey.drafters.corpus import Corpus
from covey.drafters.elections import Mixture, Plurality
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Cast, Standing
from covey.model.sampling import Position, weigh_choices
from covey.types import Host, Sequence
from covey.weights import HitRates, Uniform


def standing(members: int) -> Standing:
    return Standing(Uniform().begin([0.5] * members), HitRates([0.5] * members))


def growing(seed: int = 0, temperature: float = 0.0) -> Growing:
    sequence = Sequence(0, (1, 2, 3), SamplingParams(temperature=temperature, max_tokens=100), seed=seed)
    return Growing(sequence, 3, 4)


COMPROMISE = [Cast(0, 5, 0.5, ((5, 0.5), (7, 0.45))), Cast(1, 8, 0.5, ((8, 0.5), (7, 0.45)))]


def test_greedily_the_mixture_may_be_nobodys_own_guess():
    voted = Mixture().elect(growing(), COMPROMISE, standing(2))
    assert (voted.token, voted.sure) == (7, pytest.approx(0.45))
    assert [cast.member for cast in voted.supporters] == [0, 1]
    assert Plurality().elect(growing(), COMPROMISE, standing(2)).token == 5


def test_a_member_that_says_no_more_has_its_guess_and_its_estimate():
    voted = Mixture().elect(growing(), [Cast(0, 5, 0.9), Cast(1, 8, 0.5, ((8, 0.5), (7, 0.45)))], standing(2))
    assert (voted.token, voted.sure) == (5, pytest.approx(0.45))
    assert [cast.member for cast in voted.supporters] == [0]


def test_the_mixture_chooses_what_a_target_of_the_same_distribution_chooses():
    logits = torch.randn(2, 12, generator=torch.Generator().manual_seed(0)).double()
    mixed = (logits.softmax(-1) * 0.5).sum(0)
    for seed in range(50):
        draft = growing(seed, temperature=1.0)
        casts = [Cast(n, 0, 0.1, tuple(enumerate(row.softmax(-1).tolist()))) for n, row in enumerate(logits)]
        (theirs,) = noise.choose(mixed.log()[None], [seed], [3])
        assert Mixture().elect(draft, casts, standing(2)).token == theirs


def test_a_models_likeliest_tokens_are_those_that_sampling_leaves():
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(1))
    sequence = Sequence(0, (1, 2), SamplingParams(temperature=0.7, top_k=3))
    (choice,) = weigh_choices(logits, [Position(sequence)], likely=True)
    expected = (logits[0] / 0.7).topk(3)
    assert [token for token, _ in choice.likely] == expected.indices.tolist()
    assert [p for _, p in choice.likely] == pytest.approx(expected.values.softmax(0).tolist(), abs=1e-6)
    assert weigh_choices(logits, [Position(sequence)])[0].likely == ()


def test_a_suffix_drafters_likeliest_tokens_are_by_counts():
    text = [1, 2, 5, 1, 2, 6, 1, 2, 5, 1, 2, 7, 1, 2]
    for drafter, prompt in ((SuffixDrafter(), text), (SuffixDrafter(Corpus.of([text])), [9, 1, 2])):
        drafter.tells_likely = True
        sequence = Sequence(0, tuple(prompt), SamplingParams(max_tokens=100))
        (guess,) = drafter.ask([drafter.open(sequence, 2)])
        likely = dict(guess.likely)
        assert guess.token == 5 and set(likely) == {5, 6, 7}
        assert likely[5] == pytest.approx(min(guess.probability, 0.5))
        assert likely[6] == likely[7] == pytest.approx(likely[5] / 2)


def test_members_are_asked_for_distributions_where_they_are_mixed(tiny):
    model = ModelDrafter(str(tiny("llama")), dtype="float64", device="cpu")
    CollectiveDrafter([model], vote="mixture")
    assert model.tells_likely
    model.bind(Host(model.tokenizer, model.vocab_size, 64, 1, 64, "cpu", "float64"))
    sequence = Sequence(0, (5, 6, 7), SamplingParams(max_tokens=100))
    model.start(sequence)
    (guess,) = model.ask([model.open(sequence, 2)])
    assert guess.likely[0] == (guess.token, pytest.approx(guess.probability))
    assert len(guess.likely) == 16
    CollectiveDrafter([model])
    assert not model.tells_likely
    model.close()
