"""How often the members of a collective are right, over all sequences, by target and kind of request; can outlive the process.

A sequence starts from the record of its kind (a label, or a digest of a system prompt: see engine/served.py), or else from that of
all requests together. Records forget slowly. Knows nothing of drafts or votes.

    records = Records(("suffix", "nested")); records.record("smollm2", "code", 0, hit=True); records.of("smollm2", "code")
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from covey.state import numbers

_ALL = ""
_MOST_KINDS = 1024  # requests choose labels freely: the least recently used are forgotten
_MEMORY = 2048.0
_PRIOR, _PRIOR_TRIALS = 0.4, 10.0


@dataclass
class Rate:
    """Of one member with one kind of request."""

    hits: float = 0.0
    trials: float = 0.0

    def record(self, hit: bool) -> None:
        keep = 1 - 1 / _MEMORY
        self.hits, self.trials = self.hits * keep + hit, self.trials * keep + 1

    def of(self, prior: float) -> float:
        return (self.hits + prior * _PRIOR_TRIALS) / (self.trials + _PRIOR_TRIALS)


class Records:
    """The records of some members, by name and in order."""

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members
        self._rates: OrderedDict[tuple[str, str], list[Rate]] = OrderedDict()

    def of(self, target: str, label: str) -> list[float]:
        """Each member's hit rate with such requests; what a kind has not shown yet is taken from all of the target's."""
        rates = [rate.of(_PRIOR) for rate in self._of(target, _ALL)]
        return rates if label == _ALL else [rate.of(prior) for rate, prior in zip(self._of(target, label), rates, strict=True)]

    def record(self, target: str, label: str, member: int, hit: bool) -> None:
        for rates in self.kept(target, label):
            rates[member].record(hit)

    def kept(self, target: str, label: str) -> list[list[Rate]]:
        """The members' rates in all records that such a request counts in."""
        return [self._of(target, kind) for kind in {_ALL, label}]

    def learned(self) -> list[Any]:
        """All records, as plain lists."""
        return [[target, label, [[rate.hits, rate.trials] for rate in rates]] for (target, label), rates in self._rates.items()]

    def take_up(self, held: list[Any]) -> None:
        """What another process has learned. Raises ValueError or TypeError where it is not of so many members."""
        for target, label, rates in held:
            made = [Rate(*numbers(rate, 2, low=0.0)) for rate in rates]
            if len(made) != len(self.members):
                raise ValueError(f"{len(self.members)} records are expected, not {len(made)}")
            self._rates[str(target), str(label)] = made

    def _of(self, target: str, label: str) -> list[Rate]:
        key = (target, label)
        if key not in self._rates:
            self._rates[key] = [Rate() for _ in self.members]
            while len(self._rates) > _MOST_KINDS:
                self._rates.popitem(last=False)
        self._rates.move_to_end(key)
        return self._rates[key]
