"""How many tokens to draft: controllers plan a length for every sequence before drafting, and trim the drafts after it.

    controller = Goodput(costs, longest=8); lengths = controller.plan(sequences, load); controller.trim(sequences, drafts, load)

`Goodput` is covey's own: it weighs what drafting and verifying cost against what they bring, and plans 0 where that does not pay.
The others are what it is compared with.
"""

from covey.control.controller import Controller, Cut, Load
from covey.control.fixed import FixedLength
from covey.control.goodput import Goodput
from covey.control.names import make_controller
from covey.control.others import BatchTable, ConfidenceThreshold, Heuristic, Watch
from covey.control.smurfs import SmurfsSelector

__all__ = [
    "BatchTable",
    "ConfidenceThreshold",
    "Controller",
    "Cut",
    "FixedLength",
    "Goodput",
    "Heuristic",
    "Load",
    "SmurfsSelector",
    "Watch",
    "make_controller",
]
