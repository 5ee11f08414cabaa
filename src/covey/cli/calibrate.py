"""`covey calibrate`: when a nested draft goes deeper and how far it drafts, for one target on this machine; covey.calibrate does the work.

covey calibrate --draft draft --prompts dev.jsonl.gz
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from covey.cli import screen, startup
from covey.config import Settings, all_options, quiet_libraries

_PIPELINE = ("pipeline", "drafter_threads", "drafter_timeout")  # what is timed is timed by itself
# What calibration decides itself, and what is for serving.
_OWN = ("num_speculative_tokens", "branches", "max_num_seqs", "prefix_reuse", "collective_state", "trace", *_PIPELINE)
SETTINGS = ("target", *(option.name for option in all_options().values() if option.group == "engine" and option.name not in _OWN))


def calibrate(
    draft: Annotated[Path, typer.Option(help="A folder that covey train nested has written.", show_default=False)],
    prompts: Annotated[Path, typer.Option(help="The prompts: a .jsonl or .jsonl.gz file.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option(help="Where profile and picture go; unset is a folder in the draft's.", show_default=False)
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Only prompts of these tasks, separated by commas.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="Most prompts per task: every other one is searched on, the others are tried.")] = 6,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.")] = 64,
    temperatures: Annotated[str, typer.Option(help="The prompts are answered at each of these.")] = "0,0.7",
    batch: Annotated[int, typer.Option(help="Requests served together.")] = 1,
    longest: Annotated[int, typer.Option(help="The longest draft that is considered.")] = 6,
    tried: Annotated[int, typer.Option(help="How many plans beside the fixed exits get real runs.")] = 3,
    repetitions: Annotated[int, typer.Option(help="How often each is run.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same texts.")] = 0,
    *,
    settings: Settings,
) -> None:
    """Find the thresholds and the draft length at which a nested draft is fastest, by measuring."""
    quiet_libraries()
    from covey.calibrate import CalibrateSettings
    from covey.calibrate import calibrate as run

    chosen = CalibrateSettings(
        draft=draft,
        prompts=prompts,
        target=settings.target,
        output=output,
        tasks=tuple(tasks.split(",")) if tasks else None,
        limit=limit,
        max_tokens=max_tokens,
        temperatures=_numbers(temperatures),
        seed=seed,
        batch=batch,
        longest=longest,
        tried=tried,
        repetitions=repetitions,
        engine=settings.engine,
    )
    startup.prepare(settings)  # what cannot be is refused before anything is fetched
    with screen.reported() as report:
        profile = run(chosen, report)
    for line in _lines(profile):
        screen.out().print(line)
    screen.err().print(f"written to {chosen.folder}, and into the configuration of {draft}")


def _lines(profile: dict[str, Any]) -> list[str]:
    """What was tried, the chosen plan marked."""
    lines = []
    for each in profile["tried"]:
        plan = each["prediction"]["plan"]
        marked = "chosen" if plan == profile["chosen"] else ""
        thresholds = ", ".join(f"{t:.2f}" for t in plan["thresholds"])
        name = f"k={plan['num_tokens']}, thresholds {thresholds or 'none'}" if plan["num_tokens"] else "plain"
        real = f"{each['median_over_plain']:.2f} of plain [{min(each['over_plain']):.2f}, {max(each['over_plain']):.2f}]"
        lines.append(f"{name:<36} {real}, predicted {each['prediction']['tokens_per_second']:.1f} tokens/s {marked}".rstrip())
    return lines


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"temperatures={text!r}: temperatures must be numbers separated by commas, such as 0,0.7") from None
