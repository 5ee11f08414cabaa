"""Finds out which manner is fastest under the present load, and keeps to it until the load changes.

For each size of batch it begins serially. Where drafting takes too small a share of the time for any overlap to win much, it stays
there, and nothing is tried. Else the other manners are tried for a few rounds, and one is kept that is faster by a margin; after ever
longer times it is looked at again. Knows nothing of sequences or threads; what it decides never changes a text.

    chooser = Auto(); manner = chooser.manner(4, able=True); ...; chooser.measured(happened)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from covey.pipeline.manner import Ahead, Halves, Here, Manner, Measured

_MARGIN = 1.05  # a manner is left for another that is faster by so much
_WORTH = 1.10  # nothing is tried where the most that overlap could win is less
_ROUNDS = 10  # of every sequence in a trial
_UNCOUNTED = 3  # passes after a change of manner
_HOPELESS = 0.7  # of the kept one's rate: a trial ends early
_LOOK_AGAIN, _LONGEST = 400, 12_800  # rounds of every sequence until the next trial; doubled each time that nothing changes
_FLAP = 3  # steps for which a batch has another size before that counts
_PRIOR = 64.0  # rounds that the tokens a round of all manners weigh against one's own


@dataclass
class _Record:
    """How one manner did with one size of batch: of late in rounds a second, and in all in tokens a round."""

    rounds: float = 0.0
    seconds: float = 0.0
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0
    all_rounds: int = 0
    all_tokens: int = 0

    def add(self, happened: Measured, keep: float = 1.0) -> None:
        self.rounds = self.rounds * keep + happened.sequences
        self.seconds = self.seconds * keep + happened.seconds
        self.draft_seconds = self.draft_seconds * keep + happened.draft_seconds
        self.verify_seconds = self.verify_seconds * keep + happened.verify_seconds
        self.all_rounds += happened.sequences
        self.all_tokens += happened.tokens

    def begin(self) -> None:
        self.rounds = self.seconds = self.draft_seconds = self.verify_seconds = 0.0

    @property
    def bound(self) -> float:
        """The most that overlapping what was measured in turn can win."""
        longer = max(self.draft_seconds, self.verify_seconds)
        return (self.draft_seconds + self.verify_seconds) / longer if longer else 1.0


@dataclass
class _Load:
    """What is known of one size of batch. to_try: manners still to be tried, the one on trial first."""

    kept: str = Here.name
    records: dict[str, _Record] = field(default_factory=dict)
    to_try: list[str] = field(default_factory=list)
    uncounted: int = _UNCOUNTED
    since: int = 0
    interval: int = 0

    def record(self, name: str) -> _Record:
        return self.records.setdefault(name, _Record())

    def rate(self, name: str) -> float:
        """Tokens a second: rounds, of which a few tell much, by tokens a round, which need many, and are much alike."""
        record, every = self.record(name), self.records.values()
        rounds, tokens = sum(each.all_rounds for each in every), sum(each.all_tokens for each in every)
        each = (record.all_tokens + _PRIOR * tokens / max(1, rounds)) / (record.all_rounds + _PRIOR)
        return record.rounds / record.seconds * each if record.seconds else 0.0


class Auto:
    """See the module."""

    def __init__(self) -> None:
        self._manners: dict[str, Manner] = {each.name: each for each in (Here(), Halves(), Ahead())}
        self._loads: dict[int, _Load] = {}
        self._size, self._other = 0, 0
        self._now = Here.name
        self._sequences, self._able = 0, False

    def manner(self, sequences: int, able: bool) -> Manner:
        self._sequences, self._able = sequences, able
        size = max(0, sequences - 1).bit_length()
        self._other = self._other + 1 if size != self._size else 0
        if self._other >= _FLAP or not self._loads:
            self._size, self._other = size, 0
            self._loads.setdefault(size, _Load()).uncounted = _UNCOUNTED
        load = self._loads[self._size]
        name = load.to_try[0] if load.to_try else load.kept
        if name != self._now:
            self._now, load.uncounted = name, _UNCOUNTED
        return self._manners[self._now]

    @property
    def kept(self) -> dict[str, str]:
        """The manner that is kept, by the most sequences that it is kept for."""
        return {str(1 << size): load.kept for size, load in sorted(self._loads.items())}

    def measured(self, happened: Measured) -> None:
        load = self._loads[self._size]
        if not happened.steady or self._other:
            return
        if load.uncounted:
            load.uncounted -= 1
        elif load.to_try:
            self._on_trial(load, happened)
        else:
            self._settled(load, happened)

    def _settled(self, load: _Load, happened: Measured) -> None:
        """Go on measuring what is kept, and look again when it is time."""
        record = load.record(load.kept)
        record.add(happened, keep=1 - 1 / (4 * _ROUNDS))
        load.since += happened.sequences
        if load.since < max(load.interval, _ROUNDS) * max(1, self._sequences):
            return
        load.since = 0
        others = [name for name in self._tried() if name != load.kept]
        if load.kept == Here.name and record.bound < _WORTH:
            load.interval = _LOOK_AGAIN // 8  # it costs nothing to look
            return
        load.interval = min(_LONGEST, max(_LOOK_AGAIN, 2 * load.interval))
        load.to_try = others
        for name in others:
            load.record(name).begin()

    def _on_trial(self, load: _Load, happened: Measured) -> None:
        name = load.to_try[0]
        record = load.record(name)
        record.add(happened)
        count = record.rounds / max(1, self._sequences)
        if count < _ROUNDS and (count < _UNCOUNTED or load.rate(name) >= _HOPELESS * load.rate(load.kept)):
            return
        load.to_try.pop(0)
        if load.to_try:
            return
        best = max(self._tried(), key=load.rate)
        if best != load.kept and load.rate(best) > _MARGIN * load.rate(load.kept):
            load.kept, load.interval = best, _LOOK_AGAIN

    def _tried(self) -> list[str]:
        """What there is to choose from."""
        return [Here.name, *([Halves.name] if self._sequences > 1 else []), *([Ahead.name] if self._able else [])]
