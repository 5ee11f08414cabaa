"""Controllers by the names that a configuration calls them by.

make_controller("goodput", longest=8, costs=Costs())
"""

from __future__ import annotations

from collections.abc import Callable

from covey.config.catalogue import CONTROLLERS
from covey.control.controller import Controller
from covey.control.fixed import FixedLength
from covey.control.goodput import Goodput
from covey.control.others import BatchTable, ConfidenceThreshold, Heuristic, Watch
from covey.control.smurfs import SmurfsSelector
from covey.cost import Costs

_MAKERS: dict[str, Callable[[int, Costs], Controller]] = {
    "goodput": lambda longest, costs: Goodput(costs, longest),
    "fixed": lambda longest, costs: FixedLength(longest),
    "smurfs": lambda longest, costs: SmurfsSelector(longest),
    "heuristic": lambda longest, costs: Heuristic(longest),
    "confidence": lambda longest, costs: ConfidenceThreshold(longest),
    "table": lambda longest, costs: BatchTable(longest),
    "watch": lambda longest, costs: Watch(longest),
}


def make_controller(name: str, longest: int, costs: Costs) -> Controller:
    """A new controller. longest: the longest draft that it may plan. Raises KeyError for an unknown name."""
    assert set(_MAKERS) == set(CONTROLLERS), "every controller that can be configured is made here"
    return _MAKERS[name](longest, costs)
