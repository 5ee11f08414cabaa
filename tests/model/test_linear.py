"""Packed linear layers: the same products, one for layers of one input, and the same bits in any company."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from covey.model import linear

pytestmark = pytest.mark.skipif(
    not linear.can_pack(torch.bfloat16, torch.device("cpu")), reason="torch was built without oneDNN, so nothing is packed"
)


class Block(nn.Module):
    """Two layers of one input, one with a bias; a layer of its own; and one that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Linear(64, 48, bias=False), nn.Linear(64, 80)
        self.out, self.twice = nn.Linear(48, 64), nn.Linear(64, 64, bias=False)
        self.to(torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.out(self.left(x) * self.right(x)[..., :48])
        return self.twice(y) + self.twice(x)


@pytest.fixture
def pair():
    """The block as it was, and packed."""
    with torch.inference_mode():
        block, packed = Block(), Block()
        with linear.Inputs(packed) as inputs:
            packed(torch.zeros(2, 64, dtype=torch.bfloat16))
        linear.pack_linears(packed, inputs.shared())
        yield block, packed
        linear.release_linears(packed)


def tokens(count: int) -> torch.Tensor:
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(count)).bfloat16()


@pytest.mark.parametrize("count", [1, 4, 7, 100])
def test_the_products_are_the_models(pair, count):
    block, packed = pair
    torch.testing.assert_close(packed(tokens(count)), block(tokens(count)), rtol=0.02, atol=0.02)


def test_layers_of_one_input_share_a_product(pair):
    _, packed = pair
    assert packed.left.product is packed.right.product
    assert len({id(m.product) for m in packed.modules() if isinstance(m, linear.PackedLinear)}) == 3


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left"), ("left", "left", "right"), ("right", "right")])
def test_layers_of_one_product_may_be_called_in_any_order_and_with_other_inputs(pair, order):
    block, packed = pair
    for i, name in enumerate(order):
        x = tokens(4 + i)
        torch.testing.assert_close(getattr(packed, name)(x), getattr(block, name)(x), rtol=0.02, atol=0.02)


def test_a_row_has_the_same_bits_in_any_company(pair):
    _, packed = pair
    many = tokens(64)
    expected = packed(many)
    for count in range(linear.MIN_TOKENS, 65):
        assert torch.equal(packed(many[:count]), expected[:count])


def test_release_gives_the_weights_back(pair):
    _, packed = pair
    held = len(linear._packed)
    linear.release_linears(packed)
    assert len(linear._packed) == held - 3


@pytest.mark.parametrize("count", [1, linear.MOST_ROUNDED_TOKENS])
def test_few_rows_of_a_draft_are_multiplied_by_rounded_weights(count):
    with torch.inference_mode():
        layer = nn.Linear(64, 37).to(torch.bfloat16)  # a number of features that no kernel likes
        weight = layer.weight.float()
        unit = weight.abs().amax(1) / 127
        rounded = (weight / unit[:, None]).round() * unit.bfloat16().float()[:, None]
        model = nn.Sequential(layer)
        linear.pack_linears(model, [], rounded=True)
        assert linear.rounded_bytes(model) == 37 * 64 + 2 * 37
        product = model[0].product
        x = tokens(count)
        torch.testing.assert_close(product.of(x).float(), x.float() @ rounded.T + layer.bias.float(), rtol=0.02, atol=0.02)
        assert product.of(x[None]).shape == (1, count, 37)
        error = (product.of(x).float() - layer(x).float()).square().mean().sqrt() / layer(x).float().square().mean().sqrt()
        assert 1e-4 < error < 0.02
        linear.release_linears(model)
        assert linear.rounded_bytes(model) == 0


def test_many_rows_of_a_draft_are_multiplied_by_its_weights():
    with torch.inference_mode():
        layer = nn.Linear(64, 48).to(torch.bfloat16)
        rounded, plain = linear.Product([layer], rounded=True), linear.Product([layer])
        x = tokens(linear.MOST_ROUNDED_TOKENS + 1)
        assert torch.equal(rounded.of(x), plain.of(x))
        held = len(linear._rounded)
        rounded.release(), plain.release()
        assert len(linear._rounded) == held - 1


MANY_SIZES = """
import psutil, torch
from covey.model import linear
memory = lambda: psutil.Process().memory_info().rss >> 20
products = [linear.Product([torch.nn.Linear(64, features, dtype=torch.bfloat16)]) for features in (64, 128, 192, 256)]
x = torch.ones(800, 64, dtype=torch.bfloat16)
[product.of(x) for product in products]
before = memory()
for tokens in range(4, 600):
    [product.of(x[:tokens]) for product in products]
print(memory() - before)
"""


def test_kernels_for_ever_new_numbers_of_tokens_are_not_kept():
    """Processes of their own, for how many are kept is settled at the first. Whoever sets the library's own variables is heeded."""
    caches = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    environment = {name: value for name, value in os.environ.items() if name not in caches}

    def grown(**variables: str) -> int:
        done = subprocess.run([sys.executable, "-c", MANY_SIZES], env=environment | variables, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert grown() < 0.7 * grown(**dict.fromkeys(caches, "1024"))
