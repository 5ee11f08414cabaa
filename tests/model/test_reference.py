"""transformers' own generate, as oracle and as peer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from covey.model.reference import ReferenceGenerator
from tests.model.tiny import END, tiny_model

PROMPTS = ([5, 9, 11, 30, 5, 9, 11, 30, 5], [40], list(range(3, 60)))
TOKENS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def model(folder: Path) -> ReferenceGenerator:
    return ReferenceGenerator(folder, "float64")


def by_hand(model: ReferenceGenerator, ids: Sequence[int], count: int) -> list[int]:
    """Greedy tokens from whole forward passes without a cache."""
    tokens = list(ids)
    with torch.no_grad():
        for _ in range(count):
            tokens.append(int(model.model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(ids) :]


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_greedy_is_the_argmax_at_every_position(model: ReferenceGenerator, prompt: list[int]) -> None:
    assert model.greedy(prompt, TOKENS, end_ids=set()) == by_hand(model, prompt, TOKENS)


def test_an_end_token_ends_the_text_and_is_kept(model: ReferenceGenerator) -> None:
    whole = model.greedy(PROMPTS[0], TOKENS, end_ids=set())
    end = whole[5]
    assert model.greedy(PROMPTS[0], TOKENS, end_ids={end}) == whole[: whole.index(end) + 1]


def test_the_models_own_end_tokens_count_unless_others_are_given(model: ReferenceGenerator) -> None:
    assert model.end_ids == {END}
    whole = model.greedy(PROMPTS[0], TOKENS, end_ids=set())
    end = whole[3]
    model.end_ids, kept = frozenset({end}), model.end_ids
    try:
        assert model.greedy(PROMPTS[0], TOKENS) == whole[: whole.index(end) + 1]
    finally:
        model.end_ids = kept


def test_a_padded_batch_gives_what_its_prompts_give_alone(model: ReferenceGenerator) -> None:
    together = model.generate(PROMPTS, TOKENS, set())
    assert together.outputs == [model.greedy(prompt, TOKENS, set()) for prompt in PROMPTS]
    assert [count for count, _ in together.passes] == list(range(1, TOKENS + 1))
    times = [seconds for _, seconds in together.passes]
    assert times == sorted(times)


def test_speculation_changes_the_passes_and_not_the_text(folder: Path, model: ReferenceGenerator) -> None:
    expected = model.greedy(PROMPTS[0], TOKENS, set())
    looked_up = model.generate([PROMPTS[0]], TOKENS, set(), prompt_lookup=10)
    assisted = model.generate([PROMPTS[0]], TOKENS, set(), assistant=ReferenceGenerator(folder, "float64"))
    assert looked_up.outputs == assisted.outputs == [expected]
    assert len(assisted.passes) < TOKENS == assisted.passes[-1][0]


def test_sampling_follows_the_seed_and_the_whole_vocabulary(model: ReferenceGenerator) -> None:
    def drawn(seed: int) -> list[int]:
        return model.generate([PROMPTS[0]], 64, set(), temperature=50.0, seed=seed).outputs[0]

    assert drawn(1) == drawn(1) != drawn(2)
    # At this temperature the distribution is nearly even: a cut to the best 50 would leave at most 50 of the 128 tokens.
    assert len({token for seed in range(20) for token in drawn(seed)}) > 100


def test_penalties_in_the_models_config_are_not_followed(tmp_path: Path, model: ReferenceGenerator) -> None:
    folder = tiny_model("llama", tmp_path)
    config = folder / "generation_config.json"
    config.write_text(config.read_text().replace("{", '{"repetition_penalty": 5.0,', 1))
    assert ReferenceGenerator(folder, "float64").greedy(PROMPTS[0], TOKENS, set()) == model.greedy(PROMPTS[0], TOKENS, set())
