"""A forward pass over rows: the same numbers in any company, and in bfloat16 on a CPU the same bits."""

import pytest
import torch

from covey.model import machine
from covey.model.load import load
from covey.model.runner import Feed, ModelRunner
from tests.model.tiny import FAMILIES

HAS_BFLOAT16 = machine.choose_dtype("auto", torch.device("cpu")) == torch.bfloat16
TEXT = [(7 * i * i + 3 * i) % 120 + 3 for i in range(200)]


def runner(folder, dtype: str) -> ModelRunner:
    made = ModelRunner(load(str(folder), dtype=dtype, device="cpu"))
    made.allocate(num_blocks=24)
    for row in range(4):
        made.rows.reserve(made.rows.open(row), 300)
    return made


def step_by_step(made: ModelRunner, row: int, start: int, count: int) -> torch.Tensor:
    """Logits of positions start .. start + count - 1, decoded one by one after a prompt: [count, V]."""
    made.forward([Feed(made.rows[row], 0, TEXT[:start], 0)])
    return torch.cat([made.forward([Feed(made.rows[row], p, TEXT[p : p + 1], 1)]) for p in range(start, start + count)])


def among_others(made: ModelRunner, row: int, start: int, count: int) -> torch.Tensor:
    """The same, verified in one pass, while other rows decode and are prefilled."""
    others = [Feed(made.rows[2], 0, TEXT[:50], 0), Feed(made.rows[3], 0, TEXT[:9], 1)]
    made.forward([Feed(made.rows[row], 0, TEXT[:start], 0), others[0]])
    return made.forward([others[1], Feed(made.rows[row], start, TEXT[start : start + count], count), Feed(made.rows[2], 50, [5], 1)])[1:-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_verified_position_has_the_logits_of_a_decoded_one(family, tiny):
    made = runner(tiny(family), "float64")
    torch.testing.assert_close(among_others(made, 1, 61, 6), step_by_step(made, 0, 61, 6), rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16 instructions; of others nothing is claimed")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("start", [3, 61, 150])
def test_in_bfloat16_a_verified_position_has_the_bits_of_a_decoded_one(family, start, tiny):
    made = runner(tiny(family), "bfloat16")
    assert torch.equal(among_others(made, 1, start, 6), step_by_step(made, 0, start, 6))


def test_rows_that_are_no_run_of_slots_give_the_same_logits(tiny):
    made = runner(tiny("llama"), "float64")
    pool = made.rows
    for row in range(4):
        pool.close(row)
    scattered, wall = pool.open(1), pool.open(0)
    pool.reserve(scattered, 64)
    blocks = iter([b for b in range(24) if b not in scattered.blocks])
    for block in blocks:  # leave no two neighbouring blocks free
        if block % 2:
            pool._used[block] = 1
            wall.blocks.append(block)
            pool.num_free -= 1
    pool.reserve(scattered, 300)
    assert not scattered.contiguous
    got = made.forward([Feed(scattered, 0, TEXT[:150], 5)])
    pool.close(0)
    whole = pool.open(2)
    pool.reserve(whole, 150)
    torch.testing.assert_close(got, made.forward([Feed(whole, 0, TEXT[:150], 5)]), rtol=1e-9, atol=1e-9)
