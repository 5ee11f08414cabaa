"""Packed linear layers: the same products, one for layers of one input, and the same bits in any company."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from covey.model import linear

CPU = torch.device("cpu")


def packs(dtype: torch.dtype) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not linear.can_pack(dtype, CPU), reason=f"nothing is packed in {dtype} on this processor, or by this torch")


def rounds(dtype: torch.dtype) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not linear.can_round(dtype, CPU), reason=f"in {dtype} rounded weights are not faster on this processor")


DTYPES = [pytest.param(dtype, marks=packs(dtype), id=str(dtype)) for dtype in linear.MIN_TOKENS]
CLOSE = {torch.bfloat16: {"rtol": 0.02, "atol": 0.02}, torch.float32: {"rtol": 1e-5, "atol": 1e-5}}


class Block(nn.Module):
    """Two layers of one input, one with a bias; a layer of its own; and one that is called twice."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Linear(64, 48, bias=False), nn.Linear(64, 80)
        self.out, self.twice = nn.Linear(48, 64), nn.Linear(64, 64, bias=False)
        self.to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.out(self.left(x) * self.right(x)[..., :48])
        return self.twice(y) + self.twice(x)


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture
def pair(dtype):
    """The block as it was, and packed."""
    with torch.inference_mode():
        block, packed = Block(dtype), Block(dtype)
        with linear.Inputs(packed) as inputs:
            packed(torch.zeros(2, 64, dtype=dtype))
        linear.pack_linears(packed, inputs.shared())
        yield block, packed
        linear.release_linears(packed)


def tokens(count: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(count)).to(dtype)


@pytest.mark.parametrize("count", [1, 4, 7, 100])
def test_the_products_are_the_models(pair, dtype, count):
    block, packed = pair
    torch.testing.assert_close(packed(tokens(count, dtype)), block(tokens(count, dtype)), **CLOSE[dtype])


def test_layers_of_one_input_share_a_product(pair):
    _, packed = pair
    assert packed.left.product is packed.right.product
    assert len({id(m.product) for m in packed.modules() if isinstance(m, linear.PackedLinear)}) == 3


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left"), ("left", "left", "right"), ("right", "right")])
def test_layers_of_one_product_may_be_called_in_any_order_and_with_other_inputs(pair, dtype, order):
    block, packed = pair
    for i, name in enumerate(order):
        x = tokens(4 + i, dtype)
        torch.testing.assert_close(getattr(packed, name)(x), getattr(block, name)(x), **CLOSE[dtype])


@pytest.mark.parametrize("dtype", [DTYPES[0]], indirect=True)  # of float32 nothing is claimed
def test_in_bfloat16_a_row_has_the_same_bits_in_any_company(pair, dtype):
    _, packed = pair
    many = tokens(64)
    expected = packed(many)
    for count in range(linear.MIN_TOKENS[dtype], 65):
        assert torch.equal(packed(many[:count]), expected[:count])


def test_release_gives_the_weights_back(pair):
    _, packed = pair
    held = len(linear._held)
    linear.release_linears(packed)
    assert len(linear._held) == held - 3


@rounds(torch.bfloat16)
@pytest.mark.parametrize("count", [1, linear.MOST_ROUNDED_TOKENS])
def test_few_rows_of_a_draft_are_multiplied_by_rounded_weights(count):
    with torch.inference_mode():
        layer = nn.Linear(64, 37).to(torch.bfloat16)  # a number of features that no kernel likes
        weight = layer.weight.float()
        unit = weight.abs().amax(1) / 127
        rounded = (weight / unit[:, None]).round() * unit.bfloat16().float()[:, None]
        model = nn.Sequential(layer)
        linear.pack_linears(model, [], rounded=True)
        assert linear.saved_bytes(model) == -(37 * 64 + 2 * 37)
        product = model[0].product
        x = tokens(count)
        torch.testing.assert_close(product.of(x).float(), x.float() @ rounded.T + layer.bias.float(), rtol=0.02, atol=0.02)
        assert product.of(x[None]).shape == (1, count, 37)
        error = (product.of(x).float() - layer(x).float()).square().mean().sqrt() / layer(x).float().square().mean().sqrt()
        assert 1e-4 < error < 0.02
        linear.release_linears(model)
        assert linear.saved_bytes(model) == 0


@rounds(torch.bfloat16)
def test_many_rows_of_a_draft_are_multiplied_by_its_weights():
    with torch.inference_mode():
        layer = nn.Linear(64, 48).to(torch.bfloat16)
        rounded, plain = linear.Product([layer], rounded=True), linear.Product([layer])
        x = tokens(linear.MOST_ROUNDED_TOKENS + 1)
        assert torch.equal(rounded.of(x), plain.of(x))
        rounded.release(), plain.release()


@rounds(torch.float32)
@pytest.mark.parametrize("count", [1, 5, 100])
@pytest.mark.parametrize("bias", [True, False])
def test_in_float32_all_rows_of_a_draft_are_multiplied_by_weights_of_sixteen_bits(count, bias):
    with torch.inference_mode():
        layer = nn.Linear(64, 37, bias=bias)
        model = nn.Sequential(layer)
        linear.pack_linears(model, [], rounded=True)
        assert linear.saved_bytes(model) == 2 * 37 * 64
        x = tokens(count, torch.float32)
        expected = nn.functional.linear(x, layer.weight.half().float(), layer.bias)
        assert not torch.allclose(expected, layer(x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
        assert model(x[None]).shape == (1, count, 37)
        linear.release_linears(model)
        assert linear.saved_bytes(model) == 0


@rounds(torch.float32)
def test_weights_that_sixteen_bits_cannot_hold_stay_as_they_are():
    with torch.inference_mode():
        layer = nn.Linear(64, 37)
        layer.weight[3, 5] = 1e5
        rounded = linear.Product([layer], rounded=True)
        x = tokens(3, torch.float32)
        torch.testing.assert_close(rounded.of(x), layer(x))
        rounded.release()


def test_what_cannot_be_packed_here_is_not():
    assert not any(linear.can_pack(dtype, CPU) for dtype in (torch.float16, torch.float64))
    assert not linear.can_pack(torch.float32, torch.device("cuda"))
    assert all(linear.can_pack(dtype, CPU) or not linear.can_round(dtype, CPU) for dtype in (torch.bfloat16, torch.float16, torch.float32))


MANY_SIZES = """
import psutil, torch
from covey.model import linear
memory = lambda: psutil.Process().memory_info().rss >> 20
dtype = next(dtype for dtype in linear.MIN_TOKENS if linear.can_pack(dtype, torch.device("cpu")))
products = [linear.Product([torch.nn.Linear(64, features, dtype=dtype)]) for features in (64, 128, 192, 256)]
x = torch.ones(800, 64, dtype=dtype)
[product.of(x) for product in products]
before = memory()
for tokens in range(4, 600):
    [product.of(x[:tokens]) for product in products]
print(memory() - before)
"""


@pytest.mark.skipif(not any(linear.can_pack(dtype, CPU) for dtype in linear.MIN_TOKENS), reason="nothing is packed here")
def test_kernels_for_ever_new_numbers_of_tokens_are_not_kept():
    """Processes of their own, for how many are kept is settled at the first. Whoever sets the library's own variables is heeded."""
    caches = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    environment = {name: value for name, value in os.environ.items() if name not in caches}

    def grown(**variables: str) -> int:
        done = subprocess.run([sys.executable, "-c", MANY_SIZES], env=environment | variables, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert grown() < 0.7 * grown(**dict.fromkeys(caches, "1024"))
