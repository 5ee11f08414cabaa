"""Measures what passes and drafts cost on this machine, once, before the first request; kept in covey's cache.

A few seconds: passes of several sizes over rows that hold nothing of sense, and drafts along a text that the target writes. What
is found only has to be about right, for the controller refreshes it from every step. Passes cost the same whoever drafts, and are
measured once for all drafters of a target. Knows nothing of how lengths are chosen.

    costs = costs_of(served, key={"target": "smollm2", "drafter": [...], ...}, longest=8, max_num_seqs=8)
    costs, whole = measure(served, longest=8, max_num_seqs=8)     # anew, and not kept
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from covey.config.environment import cache_dir
from covey.control import Controller, Cut, Load
from covey.cost import Costs, DraftCost, Drafting, DraftSample, PassCost, PassSample
from covey.engine.engine import Engine
from covey.engine.served import Served
from covey.pipeline import Serial
from covey.sampling_params import SamplingParams
from covey.types import Draft, Round, Sequence, Work

log = logging.getLogger(__name__)

_FORMAT = 4
_PASSES_SECONDS, _DRAFTS_SECONDS = 3.7, 1.2
_LENGTHS = (0, 2, 4, 6, 8)  # cost rises by steps: too few sizes would miss where
_MANY = 8  # sequences, from which on long drafts do not pay
_LENGTHS_OF_MANY = (0, 1, 3)  # as many tokens as of half as many sequences, which tells what a sequence costs
_NEAR, _FAR = 64, 1024  # positions that a row looks back at
_TURNS = 6  # of all sizes
_DRAFTED_TOKENS = 12
_ENOUGH = 3  # sizes of passes, for what was measured to be kept
_UNEVEN = 1.3  # a pass over the same pass at its fastest: on a machine where this is usual nothing that is measured is kept
_KEPT_FROM = 0.5  # seconds: what is measured faster is not worth keeping
_TEXT = (
    "In autumn the birds gather above the fields and fly south together. Each of them watches its neighbours, and nobody leads for "
    "long. How do they find their way? Explain it in a few sentences, then write a list of what they need on the journey."
)


def costs_of(served: Served, key: dict[str, Any], longest: int, max_num_seqs: int) -> Costs:
    """The costs that were kept under this key, or that are measured now. key: all that they depend on, as JSON; only those of drafts
    depend on its "drafter"."""
    if (kept := _load(key)) is not None:
        return kept
    of_passes = {**key, "drafter": None}
    known = _load(of_passes)
    began = time.monotonic()
    try:
        costs, whole = measure(served, longest, max_num_seqs, None if known is None else known.target)
    except Exception:  # whatever is wrong with the target, its requests will say
        log.warning("the costs of %s could not be measured; they are learned while serving", served.name, exc_info=True)
        return Costs.fit([], [], _looks_back(served))
    took = time.monotonic() - began
    log.info("measured the costs of %s in %.1f s", served.name, took)
    if took < _KEPT_FROM:
        return costs
    if whole:
        _save(key, costs)
        if known is None:
            _save(of_passes, Costs(costs.target))
    else:
        log.warning("the machine was too busy to measure the costs of %s well; they are measured again next time", served.name)
    return costs


def measure(served: Served, longest: int, max_num_seqs: int, passes: PassCost | None = None) -> tuple[Costs, bool]:
    """Costs as they are now, and whether the machine was quiet enough, and passes of enough sizes could be measured, to keep them.

    passes: what they are known to cost, and need not be measured for.
    """
    whole = True
    if passes is None:
        cells = _cells(served, longest, max_num_seqs)
        taken = _passes(served, cells, longest)
        # Whatever disturbs a pass makes it slower.
        fastest = [min(same, key=lambda sample: sample.seconds) for same in taken]
        passes, whole = PassCost.fit(fastest), _worth_keeping(taken, fastest, len(cells))
    drafts = _drafts(served, longest, max_num_seqs) if served.engine.pipeline.drafter is not None else []
    return Costs(passes, DraftCost(drafts, _looks_back(served))), whole


def _looks_back(served: Served) -> int | None:
    return None if served.drafter is None else served.drafter.looks_back


def _worth_keeping(taken: list[list[PassSample]], fastest: list[PassSample], wanted: int) -> bool:
    again = [median(sample.seconds for sample in same) / best.seconds for same, best in zip(taken, fastest, strict=True) if len(same) > 1]
    calm = not again or median(again) < _UNEVEN
    slow = min((sample.seconds for sample in fastest), default=0.0) * wanted > _PASSES_SECONDS / 4  # by nature, not for the moment
    return calm and len({sample.tokens for sample in fastest}) >= _ENOUGH and (len(fastest) == wanted or (slow and not again))


def _place(key: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps({**key, "format": _FORMAT}, sort_keys=True).encode()).hexdigest()
    return cache_dir() / "profiles" / f"{digest[:24]}.json"


def _load(key: dict[str, Any]) -> Costs | None:
    """None where there is nothing, or nothing readable: it is measured anew."""
    try:
        return Costs.from_dict(json.loads(_place(key).read_text("utf-8"))["costs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(key: dict[str, Any], costs: Costs) -> None:
    """A cache that cannot be written to costs time, not the service."""
    place = _place(key)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({"key": key, "costs": costs.to_dict()}, indent=1) + "\n", "utf-8")
        partial.replace(place)
    except OSError as error:
        log.warning("the measured costs could not be kept in %s (%s); they are measured again next time", place.parent, error)


def _cells(served: Served, longest: int, max_num_seqs: int) -> list[tuple[int, int, int]]:
    """What is measured: sequences, how far each looks back, and drafted tokens of each; small passes first."""
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= max_num_seqs]
    few, many = (sorted({min(length, longest) for length in lengths}) for lengths in (_LENGTHS, _LENGTHS_OF_MANY))
    most = served.max_model_len - longest - 2
    reaches = [min(_NEAR, most)] + [far for far in [min(_FAR, most)] if far > 2 * _NEAR]
    return [
        (count, reach, length)
        for count in counts
        for reach in (reaches if count == 1 else reaches[:1])
        for length in (few if count < _MANY else many)
    ]


def _passes(served: Served, cells: list[tuple[int, int, int]], longest: int) -> list[list[PassSample]]:
    """Passes of each size, in turns, until there are enough or the time is up.

    One size after another would let a machine that slows down for a moment make a small pass as dear as a large one, and drafted
    tokens look free.
    """
    for length in (0, longest):  # compiling, where it is asked for, is no part of a pass
        _pass(served, 1, cells[0][1], length)
    found: dict[tuple[int, int, int], list[PassSample]] = {}
    deadline = time.monotonic() + _PASSES_SECONDS
    for cell in cells * _TURNS:
        if time.monotonic() > deadline:
            break
        if (sample := _pass(served, *cell)) is not None:
            found.setdefault(cell, []).append(sample)
    return list(found.values())


def _pass(served: Served, count: int, reach: int, length: int) -> PassSample | None:
    """One pass of `count` sequences, each of one token and a draft; None where the cache has no room for them."""
    target = served.target
    sequences = [Sequence(-1 - number, (0,) * (reach + 1), SamplingParams(temperature=0), target=served.name) for number in range(count)]
    for sequence in sequences:
        target.start(sequence)
    try:
        if reach < 0 or not all(target.rows.reserve(target.rows[s.id], reach + 1 + length) for s in sequences):
            return None
        for sequence in sequences:
            target.rows[sequence.id].length = reach  # as if it had been read: what stands there does not change what it costs
        drafts = [Draft(reach + 1, s.prefix_id, (0,) * length, (1.0,) * length) for s in sequences]
        works = [Work(sequence, reach, 1, draft) for sequence, draft in zip(sequences, drafts, strict=True)]
        began = time.perf_counter()
        target.verify(works)
        tokens = count * (1 + length)
        return PassSample(tokens, tokens * reach, time.perf_counter() - began, count)
    finally:
        for sequence in sequences:
            target.stop(sequence)


class _Sweep(Controller):
    """Has drafts of several lengths made, one after another, and none verified; notes what they cost."""

    def __init__(self, longest: int, looks_back: int | None) -> None:
        self.lengths = [length for length in (longest, 1, max(1, longest // 2)) if length]
        self.samples: list[DraftSample] = []
        self._most = sys.maxsize if looks_back is None else looks_back
        self._step = 0
        self._read: dict[int, int] = {}
        self._work: Drafting | None = None

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        self._step += 1
        length = self.lengths[self._step % len(self.lengths)]
        return [min(length, sequence.max_draft_tokens) for sequence in sequences]

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        asked = [sequence for sequence in sequences if sequence.max_draft_tokens]
        written = [len(draft) for draft in drafts]
        # Who says nothing may have read nothing yet: a drafter that waits for the target's hidden states has not.
        told = [sequence for sequence, draft in zip(sequences, drafts, strict=True) if len(draft)]
        unread = sum(min(self._most, len(sequence.tokens) - self._read.get(sequence.id, 0)) for sequence in told)
        self._read.update((sequence.id, len(sequence.tokens)) for sequence in told)
        self._work = Drafting(max(written, default=0), sum(written), len(asked), unread) if asked else None
        return [Cut(0) for _ in drafts]

    def observe(self, rounds: list[Round]) -> None:
        if self._work is not None:
            ventured = sum(each.ventured for each in rounds)
            self.samples.append(DraftSample(self._work, max(1e-9, rounds[0].step_draft_seconds - ventured), ventured))
            self._work = None


def _drafts(served: Served, longest: int, max_num_seqs: int) -> list[DraftSample]:
    """Drafts along texts that the target writes, for one sequence and then for several; a first short text is no measure."""
    sweep = _Sweep(longest, _looks_back(served))
    engine = Engine(Serial(served.target, served.drafter), sweep, max_num_seqs, served.engine.scheduler.prefill_chunk)
    _write(served, engine, 1, len(sweep.lengths) + 1, float("inf"))
    sweep.samples.clear()
    deadline = time.monotonic() + _DRAFTS_SECONDS
    for count in (1, min(4, max_num_seqs)):
        _write(served, engine, count, _DRAFTED_TOKENS, deadline)
    engine.end_all("abort")
    return sweep.samples


def _write(served: Served, engine: Engine, count: int, tokens: int, deadline: float) -> None:
    """Have the target write so many texts at once."""
    ids = served.tokenizer.encode(_TEXT)[: max(1, min(_NEAR, served.max_model_len // 2))]
    params = SamplingParams(max_tokens=tokens, ignore_eos=True, temperature=0)
    for number in range(count):
        engine.add(served.generations(ids[number:] or ids, params, lambda event: None)[0])
    while engine.busy and time.monotonic() < deadline:
        engine.step()
