"""Draws how a training went: loss, and each exit's agreement with the target against tokens learned from, and where it is heading.

draw_curves(trainer.state.log_history, tokens_a_step=900, exits=(2, 4, 6), place=Path("curves.png"))
"""

from __future__ import annotations

from math import log10
from pathlib import Path
from statistics import linear_regression
from typing import Any

_FURTHER = 10.0  # times the tokens seen


def agreement_points(history: list[dict[str, Any]], key: str, tokens_a_step: float) -> list[tuple[float, float]]:
    """(tokens learned from, value) of each evaluation; of several at one step the last."""
    by_step = {entry["step"]: entry[key] for entry in history if key in entry and entry["step"]}
    return [(step * tokens_a_step, value) for step, value in sorted(by_step.items())]


def extrapolated(points: list[tuple[float, float]], further: float = _FURTHER) -> float | None:
    """What a straight line over the logarithm of tokens, fitted to the second half of the points, says of `further` times as many.

    A guess at what more training is worth, at best: schedules end flat, and curves bend. None for fewer than four points.
    """
    late = points[len(points) // 2 :]
    if len(points) < 4:
        return None
    slope, intercept = linear_regression([log10(tokens) for tokens, _ in late], [value for _, value in late])
    return max(0.0, min(1.0, intercept + slope * log10(points[-1][0] * further)))


def draw_curves(history: list[dict[str, Any]], tokens_a_step: float, exits: tuple[int, ...], place: Path) -> bool:
    """Write a picture of a Trainer's log; False, and nothing written, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
    except ImportError:
        return False
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, agreement = figure.subplots(1, 2)
    for key, label in (("loss", "training"), ("eval_loss", "held out")):
        points = agreement_points(history, key, tokens_a_step)
        losses.plot(*_xy(points), label=label, marker="." if len(points) < 60 else None)
    losses.set(xlabel="tokens learned from", ylabel="loss")
    for exit_ in exits:
        points = agreement_points(history, f"eval_agreement_{exit_}", tokens_a_step)
        (line,) = agreement.plot(*_xy(points), label=f"exit {exit_}", marker=".")
        if (ahead := extrapolated(points)) is not None:
            agreement.plot(*_xy([points[-1], (points[-1][0] * _FURTHER, ahead)]), linestyle=":", color=line.get_color())
    agreement.set(
        xlabel="tokens learned from (dotted: as the second half goes on)", ylabel="agreement with the target, held out", ylim=(0, None)
    )
    agreement.set_xscale("log")
    agreement.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    agreement.xaxis.set_minor_formatter(NullFormatter())
    for axis in (losses.xaxis, agreement.xaxis):
        axis.set_major_formatter(EngFormatter(sep=""))  # 500k: digits of several ticks would overlap
    for plot in (losses, agreement):  # above, where it hides no point
        plot.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
    figure.savefig(place, dpi=120)
    return True


def _xy(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
