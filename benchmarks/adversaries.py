"""The worst drafters: one that drafts random tokens and calls them certain, and one that takes its time.

`live.py` measures what they cost; nothing of covey drafts like this.

    python benchmarks/live.py --prompts dev.jsonl.gz --methods plain,random:goodput,slow:goodput --json adversaries.json
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from covey.drafters import SuffixDrafter
from covey.types import Draft, Drafter, Sequence


class Random(Drafter):
    """Random tokens, every one of them called certain."""

    name = "random"

    def __init__(self) -> None:
        self._chooser = random.Random(0)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        return [
            Draft(len(s.tokens), s.prefix_id, tuple(self._chooser.randrange(1000) for _ in range(k)), (1.0,) * k, self.name)
            for s, k in zip(sequences, lengths, strict=True)
        ]


class Slow(SuffixDrafter):
    """A good drafter that sleeps through two to four passes of SmolLM2 on a small CPU before it says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "slow"

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        time.sleep(0.1)
        return super().propose(sequences, lengths)


ADVERSARIES: dict[str, Callable[[], Drafter]] = {"random": Random, "slow": Slow}
