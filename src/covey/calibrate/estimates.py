"""From what was observed to estimates: how probable it is that an exit's choice is right.

Pure arithmetic on observations. Knows nothing of models.

    weights = fit(seen); p = estimates(seen, weights)
"""

from __future__ import annotations

import numpy
import torch

from covey.calibrate.observations import Observations

_RIDGE = 1e-3  # keeps weights finite where an exit is always right, or never


def fit(seen: Observations) -> tuple[tuple[float, ...], ...]:
    """For each exit, the weights of a logistic regression of `right` on the features."""
    return tuple(_regress(seen.features[:, number], seen.right[:, number]) for number in range(seen.right.shape[1]))


def _regress(features: numpy.ndarray, right: numpy.ndarray) -> tuple[float, ...]:
    x, y = torch.from_numpy(features).double(), torch.from_numpy(right).double()
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights, y) + _RIDGE * weights.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return tuple(weights.detach().tolist())


def estimates(seen: Observations, weights: tuple[tuple[float, ...], ...]) -> numpy.ndarray:
    """The estimated probability of each exit's choice: [P, exits]."""
    odds = numpy.einsum("pef,ef->pe", seen.features.astype(numpy.float64), numpy.array(weights))
    result: numpy.ndarray = 1 / (1 + numpy.exp(-odds))
    return result
