"""The memory plan: counted before it is taken, drafters included, refused with numbers and the setting to change."""

import pytest

from covey import LLM
from covey.config import EngineConfig
from covey.drafters import ModelDrafter
from covey.engine.memory import plan_memory
from covey.errors import OutOfMemoryError
from covey.rows import BLOCK_SIZE

GIB = 2**30


def plan(max_model_len=1000, per_token=None, **config):
    per_token = per_token or {"target": 1000, "drafter": 24}
    return plan_memory(EngineConfig(**config), max_model_len, "cpu", dict.fromkeys(per_token, 0), per_token)


def test_drafters_are_counted():
    assert plan().cache_bytes == plan().max_tokens * 1024


def test_all_sequences_fit_where_memory_allows():
    assert plan(max_num_seqs=3).max_tokens >= 3 * 1000


def test_a_budget_limits_the_tokens():
    cache = 2048 * 1024 / GIB
    assert plan(max_num_seqs=8, cache_memory=cache).max_tokens == 2048


@pytest.mark.parametrize("config", [{"cache_memory": 0.0001}, {"cache_memory": 1e5}])
def test_what_does_not_fit_is_refused_with_the_setting(config):
    with pytest.raises(OutOfMemoryError, match=r"GiB.*set (max_model_len|cache_memory)"):
        plan(**config)


def test_the_suggested_length_fits():
    with pytest.raises(OutOfMemoryError) as refusal:
        plan(max_model_len=5000, cache_memory=3000 * 1024 / GIB)
    length = int(str(refusal.value).split("at most ")[1].split(",")[0])
    assert plan(max_model_len=length, cache_memory=3000 * 1024 / GIB).max_tokens >= length + BLOCK_SIZE


def test_the_plan_equals_what_is_taken(tiny):
    draft = ModelDrafter(str(tiny("llama", seed=1, layers=1)), dtype="float32", device="cpu")
    with LLM(str(tiny("llama")), drafters=[draft], dtype="float32", device="cpu", max_num_seqs=2) as llm:
        taken = 0
        for runner in (llm.target.runner, draft.runner):
            slots = runner.rows.num_slots
            taken += sum(t[:slots].nbytes for layer in runner.layers.layers for t in (layer.keys, layer.values))
        assert taken == llm.memory_plan.cache_bytes
        assert "memory plan" in str(llm.memory_plan)
