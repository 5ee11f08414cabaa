"""Controllers for the tests of exactness: those that covey has, and one without sense."""

from __future__ import annotations

import random

from covey.control import Controller, Cut, Load, make_controller
from covey.cost import Costs
from covey.types import Draft, Sequence


class RandomLengths(Controller):
    """Plans any length, trims to any, and tells drafters to stop anywhere."""

    def __init__(self, longest: int, seed: int = 0) -> None:
        self.longest, self._chooser = longest, random.Random(seed)

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        self.floor = self._chooser.choice([None, 0.0, self._chooser.random()])
        return [self._chooser.randint(0, min(self.longest, sequence.max_draft_tokens)) for sequence in sequences]

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        return [Cut(self._chooser.randint(0, len(draft))) for draft in drafts]


def controller(name: str) -> Controller:
    """fixed-K, random, or one of covey's by name, of at most 8 tokens."""
    if name == "random":
        return RandomLengths(8)
    kind, _, length = name.partition("-")
    return make_controller(kind, int(length or 8), Costs())
