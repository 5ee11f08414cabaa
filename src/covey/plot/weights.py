"""Draws how the members of a collective fared along a text, or a conversation of several turns: what their weights rest on.

Knows rounds alone.

    draw_weights(rounds, Path("weights.png"))
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from covey.errors import CoveyError
from covey.types import Round

_WINDOW = 8  # rounds that a mean accepted length is of


def draw_weights(rounds: Sequence[Round], place: Path) -> None:
    """Each member's record, who was asked, and the mean accepted length, by tokens written. rounds: at least one, in order.

    Raises CoveyError for rounds of no collective, and where matplotlib is not installed.
    """
    names = list(dict.fromkeys(member.name for each in rounds for member in each.members))
    if not names:
        raise CoveyError("trace: no round in it was drafted by a collective; give several --drafters")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CoveyError("covey plot needs the package matplotlib: pip install 'covey[train]'") from None
    figure = Figure(figsize=(10, 6), layout="constrained")
    heights = [4.0, 0.3 + 0.25 * len(names), 2.0]
    records, asked, lengths = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    at = [0, *accumulate(len(each.tokens) for each in rounds)]  # tokens before each round
    _draw_records(records, rounds, names, at)
    _draw_asked(asked, rounds, names, at)
    _draw_lengths(lengths, rounds, at)
    _mark_turns((records, asked, lengths), rounds, at)
    figure.savefig(place, dpi=120)


def _draw_records(axes: Any, rounds: Sequence[Round], names: list[str], at: list[int]) -> None:
    for name in names:
        points = [(x, member.record) for x, each in zip(at, rounds, strict=False) for member in each.members if member.name == name]
        axes.plot([x for x, _ in points], [rate for _, rate in points], label=name)
    axes.set(ylabel="record: lately right", ylim=(0, 1))
    axes.legend(fontsize=8, loc="best")


def _draw_asked(axes: Any, rounds: Sequence[Round], names: list[str], at: list[int]) -> None:
    """A stroke for each round that a member was asked in; where there is none it rested."""
    at_work = [(x, member.name) for x, each in zip(at, rounds, strict=False) for member in each.members if member.asked]
    places = [[x for x, busy in at_work if busy == name] for name in names]
    colours = [f"C{number}" for number in range(len(names))]
    axes.eventplot(places, lineoffsets=range(len(names)), linelengths=0.7, linewidths=1.0, colors=colours)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(ylim=(len(names) - 0.5, -0.5), title="asked")
    axes.title.set_fontsize(9)


def _draw_lengths(axes: Any, rounds: Sequence[Round], at: list[int]) -> None:
    """1 + accepted tokens of the rounds that drafted, each, and their mean over the last ones."""
    drafted = [(x, 1 + each.won) for x, each in zip(at, rounds, strict=False) if each.sent]
    xs, counts = [x for x, _ in drafted], [count for _, count in drafted]
    recent = [counts[max(0, end - _WINDOW) : end] for end in range(1, len(counts) + 1)]
    axes.plot(xs, counts, ".", color="lightgrey", label="a round")
    axes.plot(xs, [sum(few) / len(few) for few in recent], color="black", label=f"mean of the last {_WINDOW}")
    axes.set(xlabel="tokens written", ylabel="accepted length", ylim=(0, None))
    axes.legend(fontsize=8, loc="best")


def _mark_turns(figures: tuple[Any, ...], rounds: Sequence[Round], at: list[int]) -> None:
    """A line where the next request begins."""
    for number, each in enumerate(rounds):
        if number and (each.request_id, each.index) != (rounds[number - 1].request_id, rounds[number - 1].index):
            for axes in figures:
                axes.axvline(at[number], color="grey", linestyle="--", linewidth=0.8)
            figures[0].text(at[number], 1.01, each.request_id, fontsize=8, color="grey", ha="center")
