"""Draws how a training went: loss, and each exit's agreement with the target, against tokens seen.

draw_curves(trainer.state.log_history, tokens_a_step=900, exits=(2, 4, 6), place=Path("curves.png"))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw_curves(history: list[dict[str, Any]], tokens_a_step: float, exits: tuple[int, ...], place: Path) -> bool:
    """Write a picture of a Trainer's log; False, and nothing written, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, agreement = figure.subplots(1, 2)

    def line(axes: Any, key: str, label: str) -> None:
        points = [(entry["step"] * tokens_a_step, entry[key]) for entry in history if key in entry]
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, marker="." if len(points) < 60 else None)

    line(losses, "loss", "training")
    line(losses, "eval_loss", "held out")
    losses.set(xlabel="tokens learned from", ylabel="loss")
    losses.legend()
    for exit_ in exits:
        line(agreement, f"eval_agreement_{exit_}", f"exit {exit_}")
    agreement.set(xlabel="tokens learned from", ylabel="agreement with the target, held out", ylim=(0, None))
    agreement.legend()
    figure.savefig(place, dpi=120)
    return True
