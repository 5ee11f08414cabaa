"""Linear layers whose weights are stored in the layout that the CPU's matrix library wants.

oneDNN repacks an ordinary bfloat16 weight on every call; doing it once makes a decoding step about a quarter faster
without compiling anything. Knows nothing of models beyond `torch.nn.Linear`.

    pack_linears(model)      # bfloat16 on the CPU; in place
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# The smallest number of tokens worth sending through a packed layer: kernels for 1 to 3 rows are slower than for 4.
MIN_TOKENS = 4
_PACK_FOR_TOKENS = 8

# A packed weight is an opaque tensor, which torch.compile cannot trace. It is therefore known by a number, held in
# a buffer so that one compiled layer serves all layers of its shape.
_packed: dict[int | float, Tensor] = {}
_next_handle = iter(range(1 << 62))

_multiply = torch.ops.mkldnn._linear_pointwise.default  # the overload itself: looking it up costs as much as a small product

_library = torch.library.Library("covey", "FRAGMENT")
_library.define("linear(Tensor x, Tensor handle, Tensor? bias, int features) -> Tensor")


def _linear(x: Tensor, handle: Tensor, bias: Tensor | None, features: int) -> Tensor:
    return _multiply(x, _packed[handle.item()], bias, "none", [], "")


def _linear_shape(x: Tensor, handle: Tensor, bias: Tensor | None, features: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], features)


_library.impl("linear", _linear, "CPU")
torch.library.register_fake("covey::linear", _linear_shape)


class PackedLinear(nn.Module):
    """y = x W^T + b with W prepacked: x [..., in] -> [..., out]. The plain weight is not kept."""

    handle: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        number = next(_next_handle)
        _packed[number] = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _PACK_FOR_TOKENS)
        self.register_buffer("handle", torch.tensor(number), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.covey.linear(x, self.handle, self.bias, self.out_features)

    def release(self) -> None:
        """Give back the packed weight; the layer is unusable afterwards."""
        _packed.pop(int(self.handle), None)


def can_pack(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether packing helps here: bfloat16 on a CPU whose torch was built with oneDNN."""
    return dtype == torch.bfloat16 and device.type == "cpu" and torch.backends.mkldnn.is_available()


def pack_linears(model: nn.Module) -> None:
    """Replace every plain nn.Linear in the model by a PackedLinear, in place."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child))


def release_linears(model: nn.Module) -> None:
    """Give back all packed weights of a model."""
    for module in model.modules():
        if isinstance(module, PackedLinear):
            module.release()
