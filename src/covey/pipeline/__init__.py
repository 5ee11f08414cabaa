"""Drafting and verifying: one after the other, or both at once.

`Serial` drafts, then verifies, and is the reference. `Overlapped` has the drafter in a thread of its own, and drafts and verifies at the
same time as a `Manner` says; `Auto` finds the manner that is fastest. The engine does not know which of them runs.
"""

from covey.pipeline.auto import Auto
from covey.pipeline.desk import Desk
from covey.pipeline.guard import Faults, Guard
from covey.pipeline.lane import Lane, ThreadLane
from covey.pipeline.manner import ByNumber
from covey.pipeline.overlapped import Overlapped
from covey.pipeline.pipeline import Outcome, Pipeline, Ready
from covey.pipeline.placement import Placement
from covey.pipeline.serial import Serial

__all__ = [
    "Auto",
    "ByNumber",
    "Desk",
    "Faults",
    "Guard",
    "Lane",
    "Outcome",
    "Overlapped",
    "Pipeline",
    "Placement",
    "Ready",
    "Serial",
    "ThreadLane",
]
