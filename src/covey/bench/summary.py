"""From measurements to figures: for each batch size, method and task, and over all tasks.

Pure; docs/benchmarks.md defines the figures.

    rows = summarise(measurements)        # [{"batch": 1, "method": "fixed-4", "task": "all", ...}, ...]
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from covey.bench.exactness import Pair, compare
from covey.bench.measurement import Measurement, Unit
from covey.bench.pairs import paired_ratio
from covey.bench.tally import Passes, Tally

BASELINES = ("plain", "transformers")
ALL = "all"

Speed = Callable[[Measurement], float | None]


def summarise(measurements: Sequence[Measurement], same_text: Collection[str]) -> list[dict[str, Any]]:
    """A row for each batch, method and task, in the order in which they come.

    same_text names the methods whose texts ought to be those of plain; only these are compared with it.
    """
    rows = []
    for batch in dict.fromkeys(m.unit.batch for m in measurements):
        of_batch = [m for m in measurements if m.unit.batch == batch]
        for method in dict.fromkeys(m.method for m in of_batch):
            for task in (ALL, *dict.fromkeys(m.task for m in of_batch)):
                chosen = [m for m in of_batch if task in (ALL, m.task)]
                rows.append({"batch": batch, "method": method, "task": task, **_row(chosen, method, method in same_text)})
    return rows


def _row(measurements: Sequence[Measurement], method: str, same_text: bool) -> dict[str, Any]:
    own = [m for m in measurements if m.method == method]
    methods = {m.method for m in measurements}
    passes = Passes()
    for m in own:
        if m.answer.passes is not None:
            passes.add(m.answer.passes)
    seconds = sum(m.answer.seconds for m in own)
    return {
        "groups": len({m.unit.group for m in own}),
        "prompts": len({i for m in own for i in m.ids}),
        "repetitions": len({m.unit.repetition for m in own}),
        "tokens": sum(m.tokens for m in own),
        "tokens_per_second": _rate(own),
        "tokens_per_second_by_repetition": [_rate([m for m in own if m.unit.repetition == r]) for r in _repetitions(own)],
        "decode_tokens_per_second": passes.decode.tokens_per_second,
        "speedups": {base: _speedups(measurements, method, base) for base in BASELINES if base != method and base in methods},
        **_speculation(passes.whole),
        "accepted_histogram": passes.accepted_histogram,
        "time_shares": _shares(passes, seconds),
        "without_loops": _without_loops(passes, own),
        "texts_against_plain": _against_plain(measurements, method) if same_text else None,
    }


def _rate(measurements: Iterable[Measurement]) -> float | None:
    pairs = [(m.tokens, m.answer.seconds) for m in measurements]
    seconds = sum(second for _, second in pairs)
    return sum(tokens for tokens, _ in pairs) / seconds if seconds > 0 else None


def _repetitions(measurements: Iterable[Measurement]) -> list[int]:
    return sorted({m.unit.repetition for m in measurements})


def _speculation(tally: Tally) -> dict[str, Any]:
    return {
        "acceptance_rate": tally.acceptance_rate,
        "mean_accepted_length": tally.mean_accepted_length,
        "tokens_per_pass": tally.tokens_per_pass,
        "drafts": tally.drafts,
        "draft_tokens": tally.draft_tokens,
        "accepted_tokens": tally.accepted_tokens,
    }


def _shares(passes: Passes, seconds: float) -> dict[str, float] | None:
    """Parts of the wall time. `other` is what is neither drafting nor the target's pass, inside and between steps."""
    if passes.draft_seconds is None or passes.verify_seconds is None or not passes.whole.passes or seconds <= 0:
        return None
    draft, verify = passes.draft_seconds / seconds, passes.verify_seconds / seconds
    return {"draft": draft, "verify": verify, "other": max(0.0, 1 - draft - verify)}


def _without_loops(passes: Passes, own: Sequence[Measurement]) -> dict[str, Any] | None:
    """Figures of decoding before the loops; a sequence is counted once for each repetition."""
    if passes.looping is None or not passes.whole.passes:
        return None
    tally = passes.loop_free
    return {
        "sequences": sum(len(m.ids) for m in own),
        "sequences_with_loop": passes.looping,
        "share_of_decoded_tokens": tally.tokens / passes.decode.tokens if passes.decode.tokens else None,
        "decode_tokens_per_second": tally.tokens_per_second,
        **_speculation(tally),
    }


def _speedups(measurements: Sequence[Measurement], method: str, base: str) -> dict[str, Any]:
    """Paired ratios of speed: of whole answers, of decoding, and of decoding before the loops."""
    speeds: dict[str, Speed] = {
        "end_to_end": lambda m: m.tokens_per_second,
        "decode": lambda m: m.answer.passes.decode.tokens_per_second if m.answer.passes else None,
        "decode_without_loops": lambda m: m.answer.passes.loop_free.tokens_per_second if m.answer.passes else None,
    }
    return {name: paired_ratio(_ratios(measurements, method, base, speed)) for name, speed in speeds.items()}


def _ratios(measurements: Sequence[Measurement], method: str, base: str, speed: Speed) -> list[list[float | None]]:
    """[group][repetition], a ratio for each unit in which both were measured."""
    by_unit: dict[tuple[Unit, str], Measurement] = {(m.unit, m.method): m for m in measurements}
    table: dict[str, list[float | None]] = {}
    for (unit, name), base_measurement in by_unit.items():
        if name == base and (unit, method) in by_unit:
            above, below = speed(by_unit[unit, method]), speed(base_measurement)
            table.setdefault(unit.group, []).append(above / below if above and below else None)
    return list(table.values())


def _against_plain(measurements: Sequence[Measurement], method: str) -> dict[str, Any] | None:
    """How far the method's texts differ from plain's. None for a peer that tells no token ids, and for plain itself."""
    plain = {m.unit: m for m in measurements if m.method == "plain"}
    own = [m for m in measurements if m.method == method and m.unit in plain]
    if method == "plain" or any(m.answer.outputs is None for m in own):
        return None
    return compare(pair for m in own for pair in _texts(m, plain[m.unit]))


def _texts(one: Measurement, other: Measurement) -> list[Pair]:
    return list(zip(one.ids, one.answer.outputs or (), other.answer.outputs or (), strict=True))


def plain_across_batches(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Plain decoding compared with itself at the smallest batch size: the differences that rounding alone makes."""
    plain = [m for m in measurements if m.method == "plain" and m.answer.outputs is not None]
    batches = sorted({m.unit.batch for m in plain})
    texts = {(m.unit.batch, m.unit.repetition, i): o for m in plain for i, o in zip(m.ids, m.answer.outputs or (), strict=True)}
    return [
        {"batch": batch, "against_batch": batches[0]}
        | compare((i, o, texts[batches[0], r, i]) for (b, r, i), o in texts.items() if b == batch and (batches[0], r, i) in texts)
        for batch in batches[1:]
    ]


def median_prompt_tokens(measurements: Sequence[Measurement]) -> dict[str, float]:
    """By task, of the prompts that were measured."""
    lengths = {(m.task, i): n for m in measurements for i, n in zip(m.ids, m.prompt_tokens, strict=True)}
    return {task: statistics.median(n for (t, _), n in lengths.items() if t == task) for task in dict.fromkeys(t for t, _ in lengths)}
