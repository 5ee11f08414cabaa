"""How a draft learned that was trained in several steps: agreement on held-out text against all tokens learned from, drawn and as JSON.

    python drafts/learning.py first second third --output drafts/smollm2-nested

Takes the folders that `covey train nested` made, in order, each of which was started from the one before. A step with other text holds
other text out, so that its curve does not begin where the last one ended: what the same draft has on the new held-out text is its first
point. The dotted line is of the last step alone: see covey.train.curves.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

FURTHER = 10


def step_of(folder: Path) -> dict[str, Any]:
    """One training: what it learned from, and how it fared, as (tokens in all, agreement at the first token of a draft, at the second)."""
    described = json.loads((folder / "config.json").read_text("utf-8"))["covey_nested"]
    told, (exit_,) = described["training"], described["exits"]
    first, second = f"agreement_{exit_}", f"agreement_{exit_}_token_2"
    before, a_step = told.get("tokens_seen_before") or 0, told["tokens_seen"] / told["steps"]
    found = {before: (told["before"][first], told["before"][second])} if told.get("before") else {}
    for entry in json.loads((folder / "training.json").read_text("utf-8")):
        if f"eval_{first}" in entry and entry["step"]:
            found[round(before + entry["step"] * a_step)] = entry[f"eval_{first}"], entry[f"eval_{second}"]
    return {
        "texts": told["texts"],
        "steps": told["steps"],
        "learning_rate": told["settings"]["learning_rate"],
        "evaluations": [(tokens, *agreement) for tokens, agreement in sorted(found.items())],
        "ten_times_as_much": told["ten_times_as_much"][first],
    }


def draw(steps: list[dict[str, Any]], place: Path) -> None:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, step in enumerate(steps, 1):
        tokens, first, second = zip(*step["evaluations"], strict=True)
        (line,) = axes.plot(tokens, first, marker=".", label=f"{number}: {step['texts']:,} texts")
        axes.plot(tokens, second, marker=".", linestyle="--", color=line.get_color(), alpha=0.6)
    if (ahead := steps[-1]["ten_times_as_much"]) is not None:
        axes.plot([tokens[-1], FURTHER * tokens[-1]], [first[-1], ahead], linestyle=":", color=line.get_color())
    axes.set(xscale="log", ylim=(0, None), ylabel="agreement with the target, held out")
    axes.set_xlabel("tokens learned from (dashed: second token of a draft; dotted: as the last step's second half goes on)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower right", frameon=False, title="step, and its texts")
    figure.savefig(place, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True, help="folder for learning.json and learning.png")
    given = parser.parse_args()
    steps = [step_of(folder) for folder in given.folders]
    (given.output / "learning.json").write_text(json.dumps(steps, indent=1) + "\n", "utf-8")
    draw(steps, given.output / "learning.png")


if __name__ == "__main__":
    main()
