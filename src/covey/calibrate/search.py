"""Searches thresholds and draft lengths for the most tokens a second, by replaying what was observed with measured costs.

Pure and deterministic. Knows nothing of models.

    best = search(Replay(p, right, text), costs, longest=8)[0]
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy

_QUANTILES = 10


@dataclass(frozen=True)
class Costs:
    """Seconds. verify[k]: a target pass with k drafted tokens a sequence, and all else that a step takes. begin: what a draft
    costs whatever its length. token[e]: one more token, read off at exit number e."""

    verify: tuple[float, ...]
    begin: float
    token: tuple[float, ...]


@dataclass(frozen=True)
class Plan:
    """How to draft: see model.nested.Calibration."""

    thresholds: tuple[float, ...]
    num_tokens: int


@dataclass(frozen=True)
class Prediction:
    """What a plan gives in a replay. mean_accepted_length: tokens a round, the target's own included; acceptance: of drafted
    tokens; draft_share: of the time."""

    plan: Plan
    tokens_per_second: float
    mean_accepted_length: float
    acceptance: float
    draft_share: float


class Replay:
    """Texts as they were observed. estimates, right: [P, exits]; text: [P], positions of a text side by side."""

    def __init__(self, estimates: numpy.ndarray, right: numpy.ndarray, text: numpy.ndarray) -> None:
        self.estimates, self.right = estimates, right
        ends = numpy.flatnonzero(numpy.append(text[1:] != text[:-1], True)) + 1
        self.left = ends[numpy.searchsorted(ends, numpy.arange(len(text)), side="right")] - numpy.arange(len(text))  # to the text's end

    @property
    def num_exits(self) -> int:
        return int(self.right.shape[1])

    def predict(self, plan: Plan, costs: Costs) -> Prediction:
        """Rounds from the first position of each text to its last, as the drafter would make them.

        What is drafted after a miss is taken to cost what drafting at those positions costs.
        """
        exits = self._exits(plan.thresholds)
        right = self.right[numpy.arange(len(exits)), exits]
        runs = self._runs(right)
        spent = numpy.concatenate([[0.0], numpy.cumsum(numpy.array(costs.token)[exits])])
        at, rounds, drafted, accepted, drafting, seconds = 0, 0, 0, 0, 0.0, 0.0
        while at < len(exits):
            length = min(plan.num_tokens, int(self.left[at]) - 1)  # the target's own token must still fit
            hit = min(length, int(runs[at]))
            if length:
                drafting += costs.begin + float(spent[at + length] - spent[at])
            seconds += costs.verify[length]
            rounds, drafted, accepted = rounds + 1, drafted + length, accepted + hit
            at += hit + 1
        total = seconds + drafting
        share = accepted / drafted if drafted else 0.0
        return Prediction(plan, (rounds + accepted) / total, (rounds + accepted) / rounds, share, drafting / total)

    def _exits(self, thresholds: tuple[float, ...]) -> numpy.ndarray:
        """The exit that each position is read off at."""
        chosen = numpy.full(len(self.right), self.num_exits - 1)
        for number in reversed(range(self.num_exits - 1)):
            if thresholds[number] < 1:
                chosen[self.estimates[:, number] >= thresholds[number]] = number
        return chosen

    def _runs(self, right: numpy.ndarray) -> numpy.ndarray:
        """From each position, how many right choices follow each other."""
        wrong = numpy.append(numpy.flatnonzero(~right), len(right))
        following: numpy.ndarray = wrong[numpy.searchsorted(wrong, numpy.arange(len(right)))] - numpy.arange(len(right))
        return following


def fixed_exit(number: int, exits: int) -> tuple[float, ...]:
    """Thresholds that always read off at one exit."""
    return (1.0,) * number + (0.0,) * (exits - 1 - number)


def search(replay: Replay, costs: Costs, longest: int) -> list[Prediction]:
    """Every plan of a grid, the most tokens a second first; plain decoding (length 0) and all fixed exits are among them.

    Thresholds are quantiles of the estimates, so that the grid is fine where estimates are many.
    """
    shares = numpy.linspace(0, 1, _QUANTILES + 1)[1:-1]
    grids = [[0.0, *numpy.quantile(replay.estimates[:, number], shares).round(4), 1.0] for number in range(replay.num_exits - 1)]
    # Behind an exit that always suffices, the others' thresholds do not matter.
    plans = {tuple(float(t) for t in _reached(thresholds)) for thresholds in itertools.product(*grids)}
    found = [replay.predict(Plan(fixed_exit(0, replay.num_exits), 0), costs)]
    found += [replay.predict(Plan(thresholds, k), costs) for thresholds in sorted(plans) for k in range(1, longest + 1)]
    return sorted(found, key=lambda each: (-each.tokens_per_second, each.plan.num_tokens, each.plan.thresholds))


def _reached(thresholds: tuple[float, ...]) -> tuple[float, ...]:
    stop = thresholds.index(0.0) if 0.0 in thresholds else len(thresholds)
    return thresholds[:stop] + (0.0,) * (len(thresholds) - stop)


def contenders(found: list[Prediction], exits: int, most: int) -> list[Prediction]:
    """What deserves a real run: plain decoding, the best length of every fixed exit, and the best few others."""
    fixed = [fixed_exit(number, exits) for number in range(exits)]
    chosen = [next(each for each in found if each.plan.num_tokens == 0)]
    chosen += [next(each for each in found if each.plan.thresholds == thresholds and each.plan.num_tokens) for thresholds in fixed]
    others = [each for each in found if each.plan.num_tokens and each.plan.thresholds not in fixed]
    return chosen + others[:most]
