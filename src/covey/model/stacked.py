"""Several models that differ by low-rank deltas, run as one: the products with their common weights are computed once for the rows
of all, and each row gets what its own model adds.

A model has a seat, and each row of a pass belongs to one. The deltas of all seats lie below one another, so that however many there are
a layer takes two small products more; what belongs to another seat is multiplied by 0 between them (after S-LoRA, arXiv 2311.03285,
and Punica, 2310.18547, which gather instead: with a handful of models of small rank that costs more than it saves). Knows
nothing of what the models are for.

    seats = Seats(3); stack_deltas(model, [{}, deltas_of_one, deltas_of_other], seats)
    seats.take([0, 1, 2, 2]); model(...)                                                # four rows
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covey.model.deltas import Deltas

Ranks = tuple[int, ...]  # of the deltas of one layer, for each seat


class Seats:
    """Whose each row of the pass at hand is; all stacked layers of a model look here."""

    def __init__(self, count: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> None:
        self.count, self.dtype, self.device = count, dtype, device
        self._taken: list[int] = []
        self._masks: dict[Ranks, Tensor] = {}

    def take(self, seats: list[int]) -> None:
        """The seat of each row, from now on."""
        if seats != self._taken:
            self._taken = seats
            self._masks.clear()

    def mask(self, ranks: Ranks) -> Tensor:
        """1 where a row may use a rank and 0 elsewhere: [rows, sum of ranks]."""
        if ranks not in self._masks:
            owners = [seat for seat, rank in enumerate(ranks) for _ in range(rank)]
            taken = torch.tensor(self._taken, device=self.device)[:, None]
            self._masks[ranks] = (taken == torch.tensor(owners, device=self.device)).to(self.dtype)
        return self._masks[ranks]


class StackedLinear(nn.Module):
    """A linear layer and what each seat adds to it: x [..., rows, in] -> [..., rows, out]."""

    def __init__(self, trunk: nn.Linear, deltas: list[tuple[Tensor, Tensor] | None], seats: Seats) -> None:
        super().__init__()
        self.in_features, self.out_features = trunk.in_features, trunk.out_features
        self.trunk, self.seats = trunk, seats
        self.ranks: Ranks = tuple(0 if delta is None else len(delta[1]) for delta in deltas)
        given = [delta for delta in deltas if delta is not None]
        self.down = _linear(torch.cat([down for _, down in given]), trunk.weight)
        self.up = _linear(torch.cat([up for up, _ in given], 1), trunk.weight)

    def forward(self, x: Tensor) -> Tensor:
        common = self.trunk(x)
        added: Tensor = self.up(self.down(x) * self.seats.mask(self.ranks))
        return added.add_(common)


def _linear(weight: Tensor, like: Tensor) -> nn.Linear:
    """A layer without bias that has this weight, of the kind of another."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=like.dtype, device=like.device)
    layer.weight.data.copy_(weight)
    return layer.requires_grad_(False)


def stack_deltas(model: nn.Module, deltas: list[Deltas], seats: Seats) -> None:
    """Let every linear layer add what each seat has for it, in place. deltas: for each seat, by the names of the model's weights;
    empty for one that is the model as it is."""
    layers = {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for weight in sorted(set().union(*deltas)):
        name = weight.removesuffix(".weight")
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, StackedLinear(layers[weight], [each.get(weight) for each in deltas], seats))
