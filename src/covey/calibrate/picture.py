"""Draws a calibration: threshold against speed, acceptance and cost; what was predicted against real runs; reliability.

Knows the profile's fields alone.

    draw(profile, Path("profile.png"))
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any


def draw(profile: dict[str, Any], place: Path) -> bool:
    """Write the picture; False, and nothing written, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(14, 4.5), layout="constrained")
    curve, plans, reliable = figure.subplots(1, 3)
    _draw_curve(curve, profile)
    _draw_plans(plans, profile)
    _draw_reliability(reliable, profile)
    figure.suptitle(
        f"{profile['draft']} for {profile['target']}, batch {profile['settings']['batch']}, {profile['machine']['cpu']}", fontsize=10
    )
    figure.savefig(place, dpi=120)
    return True


def _draw_curve(axes: Any, profile: dict[str, Any]) -> None:
    """Along the first threshold, all else as chosen; of a draft with one exit, along the length."""
    plain = next(each for each in profile["tried"] if not each["prediction"]["plan"]["num_tokens"])["prediction"]["tokens_per_second"]
    points = profile["curve"]
    by_length = not points[0]["plan"]["thresholds"]
    at = [point["plan"]["num_tokens"] if by_length else point["plan"]["thresholds"][0] for point in points]
    axes.plot(at, [point["tokens_per_second"] / plain for point in points], marker=".", label="predicted speed over plain")
    axes.plot(at, [point["mean_accepted_length"] for point in points], marker=".", label="tokens a round")
    axes.plot(at, [point["acceptance"] for point in points], marker=".", label="acceptance rate")
    axes.plot(at, [point["draft_share"] for point in points], marker=".", label="share of time spent drafting")
    axes.axhline(1, color="grey", linewidth=0.7)
    axes.set(xlabel="draft length" if by_length else f"threshold of exit {profile['exits'][0]}", ylim=(0, None))
    axes.set_title("as replayed" if by_length else f"drafts of {points[0]['plan']['num_tokens']}; other thresholds as chosen", fontsize=9)
    axes.legend(fontsize=8)


def _draw_plans(axes: Any, profile: dict[str, Any]) -> None:
    plain = profile["tried"][0]["prediction"]["tokens_per_second"]
    chosen = profile["chosen"]
    for number, each in enumerate(profile["tried"]):
        real, plan = each["over_plain"], each["prediction"]["plan"]
        middle = median(real)
        colour = "tab:green" if plan == chosen else "tab:blue"
        axes.errorbar(middle, -number, xerr=[[middle - min(real)], [max(real) - middle]], fmt="o", color=colour, capsize=3)
        axes.plot(each["prediction"]["tokens_per_second"] / plain, -number, "x", color="grey")
    axes.axvline(1, color="grey", linewidth=0.7)
    axes.set_yticks(
        [-number for number in range(len(profile["tried"]))], [_name(each, profile["exits"]) for each in profile["tried"]], fontsize=8
    )
    axes.set(xlabel="speed over plain")
    axes.set_title("real runs (range), predicted (x), chosen (green)", fontsize=9)


def _name(tried: dict[str, Any], exits: list[int]) -> str:
    plan = tried["prediction"]["plan"]
    thresholds, length = plan["thresholds"], plan["num_tokens"]
    if not length:
        return "plain"
    if all(t in (0.0, 1.0) for t in thresholds):
        return f"exit {exits[sum(t == 1.0 for t in thresholds)]}, k={length}"
    return f"{', '.join(f'{t:.2f}' for t in thresholds)}, k={length}"


def _draw_reliability(axes: Any, profile: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.7)
    for each in profile["exits_on_others"]:
        points = each["reliability"]
        axes.plot(
            [p[0] for p in points], [p[1] for p in points], marker=".", label=f"exit {each['exit']}: error {each['calibration_error']:.3f}"
        )
    axes.set(xlabel="estimated probability", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("on the prompts that were not searched on", fontsize=9)
    axes.legend(fontsize=8)
