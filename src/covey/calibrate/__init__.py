"""Calibration: when a nested draft should go deeper, and how long its drafts should be, for one target on this machine.

    from covey.calibrate import CalibrateSettings, calibrate
    calibrate(CalibrateSettings(draft=Path("draft"), prompts=Path("dev.jsonl"), target="smollm2"))

Nothing is set by hand: what the exits say is recorded once, costs are measured, thresholds and lengths are searched for on the
recording, and the best few are tried in real runs.
"""

from covey.calibrate.calibration import CalibrateSettings, calibrate

__all__ = ["CalibrateSettings", "calibrate"]
