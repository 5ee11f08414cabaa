"""How far drafters' estimates can be trusted, from traces: as they say it themselves, and as the controller corrects them while it serves.

Every drafted token that followed right ones counts, up to the first wrong one of its draft. Knows recorded texts alone.

    draw_reliability({"suffix": trusted(read_trace(Path("suffix.jsonl")))}, Path("reliability.png"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy

from covey.control import FixedLength
from covey.cost import Costs
from covey.errors import CoveyError
from covey.replay import Recorded, replay
from covey.survival import Trust, calibration_error, conditionals, reliability
from covey.types import Round

_TOGETHER = 4  # texts under way at a time: what is learned of one serves the others


@dataclass(frozen=True)
class Reliability:
    """error: expected calibration error; classes: (mean estimate, share that came true, how many), of equal width."""

    error: float
    classes: list[tuple[float, float, int]]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def trusted(texts: list[Recorded]) -> dict[str, Reliability]:
    """Of the "drafter" and of the "controller". Raises CoveyError for texts without drafts."""
    trust, said, made, came = Trust(), [], [], []

    def score(rounds: list[Round]) -> None:
        for each in rounds:
            for depth, estimate in enumerate(conditionals(each.survival[: len(each.drafted)])):
                hit = depth < each.accepted
                if not hit and each.finish_reason:
                    break  # what would have come after the end nobody knows
                said.append(estimate)
                made.append(trust.of(estimate, each.sequence_id))
                came.append(hit)
                trust.record(estimate, hit, each.sequence_id)
                if not hit:
                    break

    longest = max((len(tokens) for text in texts for tokens, _ in text.drafts.values()), default=0)
    if not longest:
        raise CoveyError("trace: no drafts in it; record with --controller watch, and drafters")
    replay(texts, lambda _: FixedLength(longest), Costs(), _TOGETHER, observe=score)
    right = numpy.array(came)
    both = {"drafter": numpy.array(said), "controller": numpy.array(made)}
    return {name: Reliability(calibration_error(held, right), reliability(held, right)) for name, held in both.items()}


def draw_reliability(found: Mapping[str, Mapping[str, Reliability]], place: Path) -> None:
    """One diagram for each name, side by side. Raises CoveyError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CoveyError("covey plot needs the package matplotlib: pip install 'covey[train]'") from None
    figure = Figure(figsize=(4 * len(found), 4), layout="constrained")
    for axes, (name, both) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
        for who, style in (("drafter", "o--"), ("controller", "o-")):
            xs, ys, _ = zip(*both[who].classes, strict=True)
            axes.plot(xs, ys, style, markersize=4, label=f"{who}, error {both[who].error:.3f}")
        axes.set(title=name, xlabel="estimated", ylabel="came true", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    figure.savefig(place, dpi=120)
