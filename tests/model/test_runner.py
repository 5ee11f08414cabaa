"""A forward pass over rows: the same numbers in any company, and in bfloat16 on a CPU the same bits."""

from itertools import pairwise

import pytest
import torch

from covey.model import machine
from covey.model.attention import Layer
from covey.model.load import load
from covey.model.runner import Feed, ModelRunner, _pieces, place
from covey.rows import HELD, Row, RowPool
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


def branched(made: ModelRunner, row: int, start: int, place: int) -> torch.Tensor:
    """The logits behind the right token where a draft of six has another one, which the pass holds beside it; then, with that in its
    place, those of the next two positions: [3, V]."""
    made.forward([Feed(made.rows[row], 0, TEXT[:start], 0)])
    draft = TEXT[start : start + 6]
    draft[place] = (draft[place] + 1) % 100 + 3
    beside = made.beside([(start + place, 5), (start + place, TEXT[start + place])], start + 6)
    behind = made.forward([Feed(made.rows[2], 0, TEXT[:9], 1), Feed(made.rows[row], start, draft, 6, beside)])[-1:]
    made.move(made.rows[row], beside[1].kept_at, start + place)
    after = [made.forward([Feed(made.rows[row], p, TEXT[p : p + 1], 1)]) for p in (start + place + 1, start + place + 2)]
    return torch.cat([behind, *after])


@pytest.mark.parametrize("place", [0, 2, 5])
@pytest.mark.parametrize("start", [3, 61, 150])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_branch_has_the_logits_of_a_decoded_position(family, start, place, tiny):
    """So have those that are decoded behind it once it has taken its place; 61 + 3 is where a block of keys ends."""
    made = runner(tiny(family), "float64")
    torch.testing.assert_close(branched(made, 1, start, place), step_by_step(made, 0, start, place + 3)[place:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("place", [0, 2, 5])
@pytest.mark.parametrize("start", [3, 29, 61, 150])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_branch_has_the_bits_of_a_decoded_position(family, start, place, tiny):
    """In the format that this processor is fastest in; in float32 no position of GPT-2 has, whose products are not packed."""
    if family == "gpt2" and not HAS_BFLOAT16:
        pytest.skip("its products are not packed: no verified position has the bits of a decoded one, branch or not")
    made = runner(tiny(family), "bfloat16" if HAS_BFLOAT16 else "float32")
    assert torch.equal(branched(made, 1, start, place), step_by_step(made, 0, start, place + 3)[place:])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_processor_runs_either_format_whatever_it_has_instructions_for(dtype, tiny):
    exact = step_by_step(runner(tiny("llama"), "float64"), 0, 20, 4)
    found = among_others(runner(tiny("llama"), dtype), 1, 20, 4).double()
    assert (found - exact).norm() < {"float32": 1e-5, "bfloat16": 0.05}[dtype] * exact.norm()


@pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16 instructions; of others nothing is claimed")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("start", [3, 61, 150])
def test_in_bfloat16_a_verified_position_has_the_bits_of_a_decoded_one(family, start, tiny):
    made = runner(tiny(family), "bfloat16")
    assert torch.equal(among_others(made, 1, start, 6), step_by_step(made, 0, start, 6))


@pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16 instructions; of others nothing is claimed")
@pytest.mark.parametrize("start", [60, 124, 188, 252, 316, 700])
def test_in_bfloat16_attention_across_a_block_border_has_the_bits_of_decoded_tokens(start):
    """At the size of a real model's heads, where attention over 256 keys, the last 64 of them masked, is often not that over 192."""
    rows, layer, heads, dim = RowPool(13), Layer(3, 64, 64, None), 9, 64
    row = rows.open(0)
    rows.reserve(row, 13 * 64)
    layer.allocate(14 * 64, torch.bfloat16, torch.device("cpu"))
    generator = torch.Generator().manual_seed(start)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).bfloat16()

    def attend(first: int, count: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        layer.current = place(rows, [Feed(row, first, [5] * count, count)], 4, torch.device("cpu")).current
        at = slice(first - start, first - start + count)
        padded = [torch.nn.functional.pad(x[:, :, at], (0, 0, 0, max(0, 4 - count))) for x in (query, key, value)]
        return layer.attend(*padded, 0.125, None, None)[:, :count]

    with torch.inference_mode():
        layer.keys.copy_(draw(*layer.keys.shape) * 2)
        layer.values.copy_(draw(*layer.values.shape))
        for _ in range(20):
            given = (draw(1, heads, 6, dim) * 3, draw(1, 3, 6, dim) * 2, draw(1, 3, 6, dim))
            alone = torch.cat([attend(start + i, 1, *given) for i in range(6)], 1)
            assert torch.equal(attend(start, 6, *given), alone)


@pytest.mark.parametrize(
    ("start", "count", "wanted", "pieces"),
    [
        (0, 1, 1, [(0, 1)]),
        (62, 5, 5, [(0, 2), (2, 3)]),
        (64, 5, 5, [(0, 5)]),
        (0, 300, 1, [(0, 128), (128, 128), (256, 44)]),
        (60, 10, 5, [(0, 6), (6, 4)]),
        (57, 10, 5, [(0, 6), (6, 1), (7, 3)]),
        (10, 200, 0, [(0, 118), (118, 82)]),
    ],
)
def test_what_plain_decoding_feeds_singly_is_cut_where_a_block_ends(start, count, wanted, pieces):
    """start, tokens fed, logits wanted -> pieces; all but the last of a prompt's tokens are read, drafts are decoded."""
    assert list(_pieces(Feed(Row(0), start, [5] * count, wanted))) == pieces


@pytest.mark.parametrize("cuts", [[], [128], [256], [128, 256], [128, 256, 384]])
def test_a_prompt_is_read_in_the_same_pieces_however_it_is_fed(cuts):
    """If it is cut where pieces end, as the scheduler does."""
    whole, borders = [(0, 128), (128, 128), (256, 128), (384, 16)], [0, *cuts, 400]
    fed = [Feed(Row(0), start, [5] * (stop - start), int(stop == 400)) for start, stop in pairwise(borders)]
    assert [(feed.start + at, count) for feed in fed for at, count in _pieces(feed)] == whole


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
            pool._states[block] = HELD
            wall.blocks.append(block)
            pool.num_free -= 1
    pool.reserve(scattered, 300)
    assert not scattered.contiguous
    got = made.forward([Feed(scattered, 0, TEXT[:150], 5)])
    pool.close(0)
    whole = pool.open(2)
    pool.reserve(whole, 150)
    torch.testing.assert_close(got, made.forward([Feed(whole, 0, TEXT[:150], 5)]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_row_that_inherits_gives_the_logits_of_one_that_read(family, tiny):
    """From a run of slots to another, and to and from a row that is none."""
    made = runner(tiny(family), "float64")
    pool = made.rows
    for row in range(4):
        pool.close(row)
    first = pool.open(0)
    pool.reserve(first, 64)
    pool.reserve(pool.open(1), 64)
    wall = pool.open(2)
    for block in (b for b in range(24) if b % 3 == 0 and pool._states[b] != HELD):
        pool._states[block] = HELD
        wall.blocks.append(block)
        pool.num_free -= 1
    pool.reserve(first, 200)
    assert not first.contiguous
    expected = made.forward([Feed(first, 0, TEXT[:190], 1)])
    first.length = 190
    second, third = pool.open(3), pool.open(4)
    for row, of in ((second, first), (third, second)):
        assert made.inherit(row, of, 150, 190)
        torch.testing.assert_close(made.forward([Feed(row, 150, TEXT[150:190], 1)]), expected, rtol=1e-9, atol=1e-9)
        pool.close(2)  # room for a row of one run
    assert not second.contiguous and third.contiguous
