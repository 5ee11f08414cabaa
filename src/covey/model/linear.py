"""Linear layers whose weights are stored in the layout that the CPU's matrix library wants.

oneDNN repacks an ordinary bfloat16 weight on every call; doing it once makes a decoding step about a quarter faster
without compiling anything. In float32, for processors that have no bfloat16, a packed product of a few rows takes half of
the time of an ordinary one, or less. Layers that are given the same input (a query, key and value projection; the gate and
the way up) become one product, which saves a quarter of what the products take. A draft, whose guesses need not be those of
its weights to the last bit, has its rows multiplied by rounded weights: what a small product takes is the way of its weights from
memory. In bfloat16 few rows take weights of eight bits, in float32 all take weights of sixteen. Knows nothing of models beyond
`torch.nn.Linear`.

    with Inputs(model) as inputs:
        model(...)                       # any pass shows which layers share their input
    pack_linears(model, inputs.shared()) # bfloat16 or float32 on the CPU; in place
"""

from __future__ import annotations

import platform
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from covey.config.environment import bound_kernel_caches

# Some fifty numbers of tokens, with five shapes of weight each, are what decoding meets again; for a prompt's length it takes a
# hundredth of the prompt's own time to make them anew.
bound_kernel_caches(256)

# The smallest number of tokens worth sending through a packed layer: in bfloat16 kernels for 1 to 3 rows are slower than for 4.
MIN_TOKENS = {torch.bfloat16: 4, torch.float32: 1}
_PACK_FOR_TOKENS = 8

# Up to so many rows eight bits were the faster ones for every shape of weight, at one row by half to two thirds (docs/log.md).
MOST_ROUNDED_TOKENS = 8

_multiply = torch.ops.mkldnn._linear_pointwise.default  # the overload itself: looking it up costs as much as a small product


class Weights(Protocol):
    """A weight [out, in] as it is held. saved: the bytes that it takes less than the weight as it was."""

    saved: int

    def times(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x [..., in] -> [..., out]."""
        ...


class Whole:
    """In the layout that the matrix library wants, to the last bit."""

    saved = 0

    def __init__(self, weight: Tensor) -> None:
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _PACK_FOR_TOKENS)

    def times(self, x: Tensor, bias: Tensor | None) -> Tensor:
        product: Tensor = _multiply(x, self._packed, bias, "none", [], "")
        return product


class EightBits:
    """For few rows whole numbers up to 127, and what one of them is worth in each row of the weight; the weight itself beside them."""

    def __init__(self, weight: Tensor) -> None:
        unit = weight.float().abs().amax(1).clamp(min=1e-30) / 127
        self._whole = Whole(weight)
        self._numbers, self._unit = (weight.float() / unit[:, None]).round().to(torch.int8), unit.to(weight.dtype)
        self.saved = -self._numbers.nbytes - self._unit.nbytes

    def times(self, x: Tensor, bias: Tensor | None) -> Tensor:
        if x.shape[:-1].numel() > MOST_ROUNDED_TOKENS:
            return self._whole.times(x, bias)
        y = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), self._numbers, self._unit).view(*x.shape[:-1], len(self._unit))
        return y if bias is None else y.add_(bias)


class SixteenBits:
    """In float16, multiplied and summed in float32, for any number of rows; nothing is held beside it."""

    def __init__(self, weight: Tensor) -> None:
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), None)
        self.saved = weight.nbytes - 2 * weight.numel()

    def times(self, x: Tensor, bias: Tensor | None) -> Tensor:
        y: Tensor = torch.ops.quantized.linear_dynamic_fp16.default(x, self._packed)
        return y if bias is None else y.add_(bias)


# A packed weight is an opaque object, which torch.compile cannot trace. It is therefore known by a number, held in
# a buffer so that one compiled layer serves all layers of its shape. What is not compiled need not go by an operator.
_held: dict[int, Weights] = {}
_next_handle = iter(range(1 << 62))

_library = torch.library.Library("covey", "FRAGMENT")
_library.define("linear(Tensor x, Tensor handle, Tensor? bias, int features) -> Tensor")


def _linear(x: Tensor, handle: Tensor, bias: Tensor | None, features: int) -> Tensor:
    return _held[int(handle)].times(x, bias)


def _linear_shape(x: Tensor, handle: Tensor, bias: Tensor | None, features: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], features)


_library.impl("linear", _linear, "CPU")
torch.library.register_fake("covey::linear", _linear_shape)


class Product:
    """y = x W^T + b for layers of one input, their weights below one another, prepacked. The plain weights are not kept.

    rounded: rows are multiplied by the weights rounded to fewer bits.
    """

    def __init__(self, layers: list[nn.Linear], rounded: bool = False) -> None:
        self.features = sum(layer.out_features for layer in layers)
        self.number = next(_next_handle)
        weight = layers[0].weight if len(layers) == 1 else torch.cat([layer.weight for layer in layers])
        _held[self.number] = _rounded(weight.detach()) if rounded else Whole(weight.detach())
        self.bias = _stacked_bias(layers)
        self.handle = torch.tensor(self.number)
        self.input: Tensor | None = None  # of the last product, while there are layers that have not yet asked for it
        self.output: Tensor | None = None

    def of(self, x: Tensor) -> Tensor:
        """The product of x; computed once while x is the same tensor."""
        if self.input is not x or self.output is None:
            self.input = x
            if torch.compiler.is_compiling():
                self.output = torch.ops.covey.linear(x, self.handle, self.bias, self.features)
            else:
                self.output = _held[self.number].times(x, self.bias)
        return self.output

    def forget(self) -> None:
        self.input = self.output = None

    def release(self) -> None:
        """Give back the packed weight; the layers are unusable afterwards."""
        _held.pop(self.number, None)


def _rounded(weight: Tensor) -> Weights:
    """As few bits as pay in its format, and as can hold it."""
    if weight.dtype == torch.bfloat16:
        return EightBits(weight)
    return SixteenBits(weight) if weight.abs().max() <= torch.finfo(torch.float16).max else Whole(weight)


def _stacked_bias(layers: list[nn.Linear]) -> Tensor | None:
    if all(layer.bias is None for layer in layers):
        return None
    return torch.cat([layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers]).detach()


class PackedLinear(nn.Module):
    """Some features of a product, in the place of one nn.Linear: x [..., in] -> [..., out]."""

    def __init__(self, product: Product, start: int, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.product, self.start, self.stop = product, start, start + linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        output = self.product.of(x)
        if self.stop == self.product.features:  # the last layer of this input
            self.product.forget()
        return output[..., self.start : self.stop]


class Inputs:
    """Watches which linear layers of a model are given the same input during a pass."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._calls: list[tuple[nn.Linear, Tensor]] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> Inputs:
        for module in self._model.modules():
            if type(module) is nn.Linear:
                self._hooks.append(module.register_forward_pre_hook(self._note))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    def _note(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(module, nn.Linear)
        self._calls.append((module, arguments[0]))

    def shared(self) -> list[list[nn.Linear]]:
        """Layers that were given the same tensor, in the order of their calls; a layer called twice is left out."""
        runs: dict[int, list[nn.Linear]] = {}  # by the tensor, all of which are held in _calls
        for module, given in self._calls:
            runs.setdefault(id(given), []).append(module)
        called = [module for module, _ in self._calls]
        once = [[module for module in run if called.count(module) == 1] for run in runs.values()]
        return [run for run in once if len(run) > 1]


def can_pack(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether packing helps here: on a CPU whose torch was built with oneDNN, float32 (on x86, where it was measured), and bfloat16
    where oneDNN has kernels for it."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32 and platform.machine().lower() in ("x86_64", "amd64")


def can_round(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether rounded weights are faster here: those of eight bits for few rows beside packed ones in bfloat16 (without the instructions
    for those the kernels for eight bits are slower than any other), and those of sixteen in float32, where torch has FBGEMM's kernels."""
    if not can_pack(dtype, device):
        return False
    return dtype == torch.bfloat16 or torch.backends.quantized.engine in ("x86", "fbgemm")


def pack_linears(model: nn.Module, shared: list[list[nn.Linear]], rounded: bool = False) -> None:
    """Replace every plain nn.Linear in the model by a PackedLinear, in place; those that share an input share a product.

    rounded: passes take weights of fewer bits, where that is faster. For drafts: what comes of them is not to the last bit what comes of
    the weights as they are, nor always what comes of them in a larger pass.
    """
    company = {id(layer): run for run in shared for layer in run}
    made: dict[int, PackedLinear] = {}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                if id(child) not in made:
                    made |= _pack(company.get(id(child), [child]), rounded)
                setattr(module, name, made[id(child)])


def _pack(layers: list[nn.Linear], rounded: bool) -> dict[int, PackedLinear]:
    product, made, start = Product(layers, rounded), {}, 0
    for layer in layers:
        made[id(layer)] = PackedLinear(product, start, layer)
        start += layer.out_features
    return made


def saved_bytes(model: nn.Module) -> int:
    """What the weights take less than as they were; less than 0 where rounded ones are held beside them."""
    numbers = {module.product.number for module in model.modules() if isinstance(module, PackedLinear)}
    return sum(_held[number].saved for number in numbers if number in _held)


def release_linears(model: nn.Module) -> None:
    """Give back all packed weights of a model."""
    for module in model.modules():
        if isinstance(module, PackedLinear):
            module.product.release()
