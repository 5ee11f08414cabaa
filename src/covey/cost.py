"""What a step costs: seconds of the target's pass and of drafting, fitted to samples, refreshed while serving.

Pure arithmetic. It neither runs nor times anything: samples come from a first measurement (`engine/profile.py`) and from
every Round after it, so that a machine that gets busier, or a longer context, is followed.

    costs = Costs.fit(passes, drafts); costs.target.seconds(tokens=numpy.arange(1, 9), reach=400); costs.drafter.seconds(Drafting(4, 16, 1))
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import exp, log
from operator import mul
from statistics import median
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[numpy.float64]

# Numbers of tokens that a pass is priced at; between them it is interpolated. Fine where a step of the staircase is a large share.
_GRID = numpy.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 512, 1024, 4096], numpy.float64)
_PLACES: list[float] = _GRID.tolist()
_GUESS = (0.02, 0.0005)  # seconds of a pass and of a token in it, where nothing was measured
_SURPRISE = 2.0  # a sample counts as at most so many times, or such a part of, what was expected: one hiccup is no trend
_DRIFT_PACE, _PLACE_PACE = 0.1, 0.15
_UNSEEN = 0.1  # the weight of a place that no step has come by, against 1 for each step
_REFIT_EVERY, _RECENT, _FADING = 16, 96, 0.97


@dataclass(frozen=True)
class PassSample:
    """One pass of the target, with all else that a step does but drafting: tokens fed, the sum over them of how far each looks
    back, seconds, and the sequences that the tokens are of."""

    tokens: int
    reach: int
    seconds: float
    sequences: int = 1


@dataclass(frozen=True)
class Drafting:
    """The work of one proposal: the most tokens guessed for a sequence, those for all, the sequences, and tokens to be read
    first that the drafter has not seen."""

    steps: int
    tokens: int
    sequences: int
    unread: int = 0

    @property
    def features(self) -> tuple[int, int, int, int, int]:
        """What costs are linear in; the last is 1 for any proposal at all."""
        return self.steps, self.tokens, self.sequences, self.unread, int(self.sequences > 0)


@dataclass(frozen=True)
class DraftSample:
    """One proposal. seconds: but those that were ventured, which a collective spends where it expects that to pay."""

    work: Drafting
    seconds: float
    ventured: float = 0.0


class PassCost:
    """Seconds of a pass by its tokens, a staircase that never falls, by how far they look back, and by the sequences beyond the first: a
    sequence more is dearer than a token more of a sequence that is there anyway.

    Online, a drift common to all sizes follows the machine, and each size keeps a correction of its own. What is not monotone in
    samples is noise, and would make tokens look as if they cost less than nothing: it is evened out.
    """

    def __init__(self, seconds: Floats, per_reach: float, per_sequence: float = 0.0) -> None:
        self.table: list[float] = seconds.tolist()
        self.per_reach, self.per_sequence = per_reach, per_sequence
        self.drift = 0.0  # natural logarithms of factors
        self.places = [0.0] * len(_GRID)
        self._seen = [_UNSEEN] * len(_GRID)
        self._even()

    @classmethod
    def fit(cls, samples: Sequence[PassSample]) -> PassCost:
        """Medians by number of tokens; beyond the largest measured the last slope goes on. Without samples, a guess."""
        if not samples:
            return cls(_GUESS[0] + _GUESS[1] * _GRID, 0.0)
        per_reach = _slope_by_reach(samples)
        per_sequence = _slope_by_sequences(samples, per_reach)
        by_tokens: dict[int, list[float]] = {}
        for sample in samples:
            beside = per_reach * sample.reach + per_sequence * (sample.sequences - 1)
            by_tokens.setdefault(sample.tokens, []).append(max(1e-9, sample.seconds - beside))
        known = numpy.array(sorted(by_tokens), numpy.float64)
        seconds = numpy.array([median(by_tokens[int(tokens)]) for tokens in known])
        table = numpy.interp(_GRID, known, seconds)
        if len(known) > 1:
            slope = max(0.0, (seconds[-1] - seconds[-2]) / (known[-1] - known[-2]))
            table = numpy.where(known[-1] < _GRID, seconds[-1] + slope * (_GRID - known[-1]), table)
        return cls(table, per_reach, per_sequence)

    def seconds(self, tokens: ArrayLike, reach: ArrayLike = 0.0, sequences: int = 1) -> Floats:
        """For each number of tokens of so many sequences, with how far they look back together."""
        base = numpy.interp(numpy.asarray(tokens, numpy.float64), _GRID, self._stairs) + self.per_sequence * (sequences - 1)
        result: Floats = (base + self.per_reach * numpy.asarray(reach, numpy.float64)) * exp(self.drift)
        return result

    def at(self, tokens: float, reach: float = 0.0, sequences: int = 1) -> float:
        """As `seconds`, for one number of tokens: many times as quick."""
        above, share = _between(tokens)
        base = self._stairs[above - 1] * (1 - share) + self._stairs[above] * share
        return (base + self.per_sequence * (sequences - 1) + self.per_reach * reach) * exp(self.drift)

    def observe(self, sample: PassSample) -> None:
        ratio = sample.seconds / self.at(sample.tokens, sample.reach, sample.sequences)
        surprise = log(min(max(ratio, 1 / _SURPRISE), _SURPRISE))
        self.drift += _DRIFT_PACE * surprise
        # The rest belongs to this size alone: shared by the two places that it lies between.
        above, share = _between(sample.tokens)
        for place, part in ((above - 1, 1 - share), (above, share)):
            self.places[place] += _PLACE_PACE * part * surprise
            self._seen[place] += part
        self._even()

    @property
    def now(self) -> Floats:
        """Seconds at each place of the grid, as it stands, of one sequence with nothing to look back at."""
        result: Floats = numpy.array(self._stairs) * exp(self.drift)
        return result

    def _even(self) -> None:
        self._stairs = _rising([base * exp(place) for base, place in zip(self.table, self.places, strict=True)], self._seen)


def _between(tokens: float) -> tuple[int, float]:
    """The place of the grid above so many tokens, and how near to it they are, from 0, at the place below, to 1."""
    above = min(max(bisect_left(_PLACES, tokens), 1), len(_PLACES) - 1)
    low, high = _PLACES[above - 1], _PLACES[above]
    return above, min(max((tokens - low) / (high - low), 0.0), 1.0)


def _rising(values: list[float], weights: list[float]) -> list[float]:
    """The non-decreasing sequence that is nearest in the weighted least squares (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, and how many values share it
    for value, own in zip(values, weights, strict=True):
        mean, weight, count = value, own, 1
        while pools and pools[-1][0] > mean:
            before, held, shared = pools.pop()
            mean, weight, count = (before * held + mean * weight) / (held + weight), held + weight, count + shared
        pools.append((mean, weight, count))
    return [mean for mean, _, count in pools for _ in range(count)]


def _slope_by_reach(samples: Sequence[PassSample]) -> float:
    """Seconds for each position looked back at: the median over sizes that were measured at several reaches."""
    by_size: dict[tuple[int, int], list[PassSample]] = {}
    for sample in samples:
        by_size.setdefault((sample.tokens, sample.sequences), []).append(sample)
    slopes = []
    for same in by_size.values():
        near, far = min(s.reach for s in same), max(s.reach for s in same)
        if far > near:
            rise = median(s.seconds for s in same if s.reach == far) - median(s.seconds for s in same if s.reach == near)
            slopes.append(rise / (far - near))
    return max(0.0, median(slopes)) if slopes else 0.0


def _slope_by_sequences(samples: Sequence[PassSample], per_reach: float) -> float:
    """Seconds for each sequence: the median over sizes between those that were measured with fewer sequences."""
    by_count: dict[int, dict[int, list[float]]] = {}
    for sample in samples:
        by_count.setdefault(sample.sequences, {}).setdefault(sample.tokens, []).append(sample.seconds - per_reach * sample.reach)
    slopes = []
    for (few, fewer), (many, more) in pairwise(sorted(by_count.items())):
        known = sorted(fewer)
        taken = [median(fewer[tokens]) for tokens in known]
        for tokens in (tokens for tokens in more if known[0] <= tokens <= known[-1]):
            slopes.append((median(more[tokens]) - float(numpy.interp(tokens, known, taken))) / (many - few))
    return max(0.0, median(slopes)) if slopes else 0.0


class DraftCost:
    """Seconds of a proposal: so many for being asked, and linear in its steps, tokens, sequences and unread tokens, none of which
    can cost less than nothing. What is ventured is no part of it: who ventures has made sure that it pays.

    Refitted now and then to the latest samples and, as long as there are few, to those it began with. looks_back: see Drafter.
    """

    def __init__(self, samples: Iterable[DraftSample] = (), looks_back: int | None = None) -> None:
        self.looks_back = looks_back
        self._recent: deque[DraftSample] = deque(samples, maxlen=_RECENT)
        self._since = 0
        self.rates = [0.0] * 5
        self._refit()

    def seconds(self, work: Drafting) -> float:
        return sum(rate * count for rate, count in zip(self.rates, work.features, strict=True))

    @property
    def ventured(self) -> float:
        """Seconds that are ventured for a sequence, on average."""
        sequences = sum(sample.work.sequences for sample in self._recent)
        return sum(sample.ventured for sample in self._recent) / sequences if sequences else 0.0

    def to_read(self, unseen: int) -> int:
        """How many tokens are read first, where so many have not been seen."""
        return max(0, unseen if self.looks_back is None else min(unseen, self.looks_back))

    @property
    def per_step(self) -> float:
        return self.rates[0]

    @property
    def per_token(self) -> float:
        return self.rates[1]

    @property
    def per_sequence(self) -> float:
        return self.rates[2]

    @property
    def per_unread(self) -> float:
        return self.rates[3]

    @property
    def per_call(self) -> float:
        return self.rates[4]

    @property
    def samples(self) -> list[DraftSample]:
        return list(self._recent)

    def observe(self, sample: DraftSample) -> None:
        self._recent.append(sample)
        self._since += 1
        # The first ones count at once: what is new, or much dearer than was thought, must not be asked sixteen times.
        if self._since >= _REFIT_EVERY or len(self._recent) < 4 or sample.seconds > 3 * self.seconds(sample.work):
            self._refit()

    def _refit(self) -> None:
        self._since = 0
        if self._recent:
            features = numpy.array([sample.work.features for sample in self._recent], numpy.float64)
            seconds = numpy.array([sample.seconds for sample in self._recent])
            # Large errors count by their share: a proposal that reads a prompt must not decide what a single guess costs.
            scale = _FADING ** numpy.arange(len(seconds) - 1, -1, -1) / numpy.maximum(seconds, max(1e-7, float(numpy.median(seconds))))
            self.rates = _non_negative(features * scale[:, None], seconds * scale)


def _non_negative(a: Floats, b: Floats, sweeps: int = 60) -> list[float]:
    """The x >= 0 that minimises |a x - b|^2, by coordinate descent; columns that say little keep to nothing."""
    size = numpy.sqrt((a * a).sum(0)) + 1e-30
    a = a / size
    gram: list[list[float]] = (a.T @ a + 1e-6 * numpy.eye(a.shape[1])).tolist()
    wanted: list[float] = (a.T @ b).tolist()
    x = [0.0] * len(wanted)
    for _ in range(sweeps):
        for i, row in enumerate(gram):
            x[i] = max(0.0, x[i] + (wanted[i] - sum(map(mul, row, x))) / row[i])
    return [each / scale for each, scale in zip(x, size.tolist(), strict=True)]


@dataclass
class Costs:
    """What one target and its drafter cost on this machine, at the moment."""

    target: PassCost = field(default_factory=lambda: PassCost.fit([]))
    drafter: DraftCost = field(default_factory=DraftCost)

    @classmethod
    def fit(cls, passes: Sequence[PassSample], drafts: Sequence[DraftSample], looks_back: int | None = None) -> Costs:
        return cls(PassCost.fit(passes), DraftCost(drafts, looks_back))

    def to_dict(self) -> dict[str, Any]:
        """As it stands, refreshed: JSON that `from_dict` reads."""
        return {
            "tokens": _GRID.tolist(),
            "seconds": self.target.now.tolist(),
            "seconds_per_reach": self.target.per_reach * exp(self.target.drift),
            "seconds_per_sequence": self.target.per_sequence * exp(self.target.drift),
            "drafts": [{**asdict(sample.work), "seconds": sample.seconds, "ventured": sample.ventured} for sample in self.drafter.samples],
            "looks_back": self.drafter.looks_back,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Costs:
        """Raises ValueError or KeyError for what `to_dict` has not made. What was measured by tokens alone has nothing for sequences."""
        table = numpy.interp(_GRID, numpy.array(data["tokens"], numpy.float64), numpy.array(data["seconds"], numpy.float64))
        if not (numpy.isfinite(table).all() and (table > 0).all()):
            raise ValueError("seconds: all must be above 0")
        drafts = [_sample(**each) for each in data["drafts"]]
        target = PassCost(table, float(data["seconds_per_reach"]), float(data.get("seconds_per_sequence", 0.0)))
        looks_back = data.get("looks_back")
        return cls(target, DraftCost(drafts, None if looks_back is None else int(looks_back)))


def _sample(seconds: float, ventured: float = 0.0, **work: int) -> DraftSample:
    return DraftSample(Drafting(**work), seconds, ventured)
