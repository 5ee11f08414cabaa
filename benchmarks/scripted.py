"""A target and a drafter that take given times and say given tokens, so that what a pipeline comes to can be computed beforehand.

Their times pass in waits that leave the processor alone, as a GPU does. Whether the guess holds that a draft is continued from is
scripted, too. Not a script: benchmarks/pipeline.py and others use it.

    verify, draft = Times(0.2, count=8, share=0.5), Times(0.1, count=8, share=0.5)
    LLM(TimedTarget(verify), drafters=[TimedDrafter(draft, Fate(0.7))])
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from covey.toy import ToyTarget
from covey.types import Draft, Drafter, Sequence, Verdict, Work, prefix_id_after

LENGTH = 8


@dataclass
class Times:
    """Seconds for a number of sequences: `whole` for `count` of them, of which a share does not depend on how many they are.

    given, taken: seconds that waits were to last, and that they lasted: on a machine that does other work, too, one wakes up late.
    """

    whole: float
    count: int
    share: float
    given: float = 0.0
    taken: float = 0.0

    def wait(self, sequences: int, part: float = 1.0) -> None:
        seconds, began = self(sequences) * part, time.perf_counter()
        time.sleep(seconds)
        self.given += seconds
        self.taken += time.perf_counter() - began

    def __call__(self, sequences: float) -> float:
        return self.whole * (self.share + (1 - self.share) * sequences / self.count) if sequences else 0.0


def token_at(position: int) -> int:
    return 3 + position % 60


class Fate:
    """Whether the guess that a group's drafts are continued from holds: for all of the group, and evenly spread, so that any stretch of
    rounds has its share."""

    def __init__(self, chance: float) -> None:
        self.chance, self.number, self.holds = chance, 0, True

    def draw(self) -> None:
        self.number += 1
        self.holds = int(self.number * self.chance) > int((self.number - 1) * self.chance)


class TimedTarget(ToyTarget):
    """Says the same tokens always, and takes its time."""

    def __init__(self, times: Times) -> None:
        super().__init__(max_model_len=8192)
        self.times = times

    def verify(self, works: list[Work], give: Any = None) -> list[Verdict | None]:
        self.times.wait(len(works))
        return [self._said(work) for work in works]

    def _said(self, work: Work) -> Verdict:
        start, row = len(work.sequence.tokens), self.rows[work.sequence.id]
        said = [token_at(start + place) for place in range(len(work.draft) + 1)]
        accepted = next((i for i, token in enumerate(work.draft.tokens) if token != said[i]), len(work.draft))
        row.length = work.start + work.count + accepted
        return Verdict(accepted, tuple(said[: accepted + 1]))


class TimedDrafter(Drafter):
    """Guesses as fate has it, and takes its time; ahead, a step at a time."""

    name = "timed"
    drafts_ahead = True

    def __init__(self, times: Times, fate: Fate) -> None:
        self.times, self.fate = times, fate

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        self.times.wait(len(sequences))
        return [self._draft(s, [], length) for s, length in zip(sequences, lengths, strict=True)]

    def propose_ahead(self, sequences: list[Sequence], sent: list[int], lengths: list[int]) -> list[Draft]:
        self.times.wait(len(sequences), 1 / LENGTH)
        if lengths[0] == 1:
            self.fate.draw()
        supposed = [self._supposed(s, count) for s, count in zip(sequences, sent, strict=True)]
        return [self._draft(s, before, length) for s, before, length in zip(sequences, supposed, lengths, strict=True)]

    def _supposed(self, sequence: Sequence, sent: int) -> list[int]:
        """What was sent, which is right, and the guess of the token after it, which fate decides."""
        tokens = [token_at(len(sequence.tokens) + place) for place in range(sent + 1)]
        return tokens if self.fate.holds else [*tokens[:-1], tokens[-1] + 1]

    def _draft(self, sequence: Sequence, before: list[int], length: int) -> Draft:
        start = len(sequence.tokens) + len(before)
        tokens = tuple(token_at(start + place) for place in range(length))
        return Draft(start, prefix_id_after(sequence.prefix_id, before), tokens, (1.0,) * length, self.name)
