"""Makes nested drafts for a target and compares them: record, train, calibrate, measure. Goes on where it was cut.

Every stage is a covey command that can be resumed, so on a machine that is lent for minutes the same line is repeated
until it says that all is done:

    python drafts/make.py --prompts train.jsonl.gz --apart-from dev.jsonl.gz --output made --minutes 9
    python drafts/make.py ... --variants self,soft,last-exit --steps 500        # a small comparison on a CPU
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

# What is trained, as options of `covey train nested`. The first is meant to ship; the others say what each idea is worth.
VARIANTS: dict[str, list[str]] = {
    "self": ["--kind", "self", "--layers", "2", "--exits", "1,2", "--unroll", "3"],
    "self-one-token": ["--kind", "self", "--layers", "2", "--exits", "1,2"],
    "standalone": ["--layers", "4", "--exits", "2,4"],
    "soft": ["--layers", "4", "--exits", "2,4", "--loss", "soft"],
    "first-exit": ["--layers", "2", "--exits", "2"],
    "last-exit": ["--layers", "4", "--exits", "4"],
    "small-head": ["--layers", "4", "--exits", "2,4", "--head-size", "4096"],
    "large-head": ["--layers", "4", "--exits", "2,4", "--head-size", "16384"],
    "full-head": ["--layers", "4", "--exits", "2,4", "--head-size", "0"],
    "six-layers": ["--layers", "6", "--exits", "2,4,6"],
}


class OutOfTime(Exception):
    """The time given is used up; what was done is kept."""


class Commands:
    """Runs covey's commands until a deadline, at which the running one is interrupted as by Ctrl-C."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline

    def run(self, *arguments: str) -> None:
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            raise OutOfTime
        print("covey", *arguments, flush=True)
        running = subprocess.Popen([sys.executable, "-m", "covey", *arguments])
        try:
            code = running.wait(left)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)
            running.wait()
            raise OutOfTime from None
        if code:
            sys.exit(f"covey {arguments[0]} ended with {code}")


def make(given: argparse.Namespace, commands: Commands) -> None:
    """Every variant is trained before one is calibrated: training may run beside other work, calibration wants a quiet machine."""
    recordings = given.recording or [given.output / "recorded"]
    target = ["--target", given.target]
    if not given.recording:
        options = ["--top", "20", "--hidden", "--max-num-seqs", str(given.batch), "--leave-out", given.leave_out]
        limit = [] if given.limit is None else ["--limit", str(given.limit)]
        apart = ["--prompts", str(given.prompts), "--apart-from", str(given.apart_from)]
        commands.run("record", *apart, "--output", str(recordings[0]), *target, *options, *limit)
    text = [part for recording in recordings for part in ("--recording", str(recording))]
    for name in given.variants:
        draft = given.output / name
        length = ["--steps", str(given.steps)] if given.steps else ["--epochs", str(given.epochs)]
        if not (draft / "model.safetensors").exists():
            more = ["--batch-size", str(given.batch_size), "--max-length", str(given.max_length), "--save-every", str(given.save_every)]
            threads = ["--threads", str(given.threads)] if given.threads else []
            trained = ["train", "nested", *text, "--output", str(draft), *target, *VARIANTS[name]]
            commands.run(*trained, *length, *more, *threads, "--evaluate-every", str(given.save_every))
    if given.train_only:
        return
    for name in given.variants:
        draft = given.output / name
        if not (draft / "calibration" / "profile.json").exists():
            place = ["--draft", str(draft), "--output", str(draft / "calibration")]
            commands.run("calibrate", "--prompts", str(given.apart_from), *place, *target, "--limit", str(given.calibrate_on))
    table(given.output, given.variants)


def table(output: Path, variants: list[str]) -> None:
    """What the variants came to: agreement on held-out text, and what calibration measured on other prompts."""
    lines = ["| variant | parameters a token | agreement by exit | mean accepted length | over plain, fixed exits | over plain, chosen |"]
    lines.append("|---|---|---|---|---|---|")
    for name in variants:
        profile = json.loads((output / name / "calibration" / "profile.json").read_text("utf-8"))
        config = json.loads((output / name / "config.json").read_text("utf-8"))["covey_nested"]
        held_out = config["training"]["held_out"]
        agreement = ", ".join(f"{e}: {held_out[f'agreement_{e}']:.1%}" for e in config["exits"])
        fixed = [t for t in profile["tried"] if t["prediction"]["plan"]["num_tokens"] and _is_fixed(t["prediction"]["plan"])]
        chosen = next(t for t in profile["tried"] if t["prediction"]["plan"] == profile["chosen"])
        length = max(t["prediction"]["mean_accepted_length"] for t in profile["tried"])
        speeds = ", ".join(f"{t['median_over_plain']:.2f} (k={t['prediction']['plan']['num_tokens']})" for t in fixed)
        size = config["training"].get("parameters")
        shown = f"{size / 1e6:.1f} M" if size else "?"
        lines.append(f"| {name} | {shown} | {agreement} | {length:.2f} | {speeds} | {chosen['median_over_plain']:.2f} |")
    (output / "table.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


def _is_fixed(plan: dict[str, list[float]]) -> bool:
    return all(threshold in (0.0, 1.0) for threshold in plan["thresholds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, help="what the target answers")
    parser.add_argument("--apart-from", type=Path, required=True, help="prompts that are not trained on; calibration is on these")
    parser.add_argument("--recording", type=Path, action="append", help="a recording with --top and --hidden that is there already")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--leave-out", default="", help="patterns of sources, as for covey record")
    parser.add_argument("--variants", default=",".join(VARIANTS), help=f"which of {', '.join(VARIANTS)}")
    parser.add_argument("--minutes", type=float, help="stop in order after so long")
    parser.add_argument("--limit", type=int, help="most prompts of a task that are recorded")
    parser.add_argument("--epochs", type=float, default=8.0)
    parser.add_argument("--steps", type=int, help="updates, in place of epochs")
    parser.add_argument("--batch", type=int, default=256, help="requests answered together while recording")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--threads", type=int, help="of each training; None takes all")
    parser.add_argument("--train-only", action="store_true", help="calibrate later, by the same command without this")
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--calibrate-on", type=int, default=6, help="prompts of a task that calibration is on")
    given = parser.parse_args()
    given.variants = given.variants.split(",")
    if unknown := [name for name in given.variants if name not in VARIANTS]:
        parser.error(f"variants={unknown[0]!r}: known are {', '.join(VARIANTS)}")
    if not given.recording and given.prompts is None:
        parser.error("give --prompts to record from, or a --recording")
    try:
        make(given, Commands(None if given.minutes is None else time.monotonic() + 60 * given.minutes))
    except OutOfTime:
        print("out of time; the same command goes on from here")


if __name__ == "__main__":
    main()
