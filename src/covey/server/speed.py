"""How fast one engine is, and how fast it would be without drafts: from the Rounds of each step and the controller's own costs.

A step that drafted is compared with plain decoding of the same tokens: one pass with what was fed but the drafts, and as many
further passes as it would have taken to come by the tokens that drafts brought. Knows nothing of Prometheus.

    speed = Speed(lambda: controller.costs); speed.observe(happened); speed.goodput, speed.plain
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from covey.cost import Costs
from covey.types import Round

_KEEP = 1 - 1 / 256  # of what recent steps were, at each new one


@dataclass(frozen=True)
class Step:
    """One step: tokens that it emitted, seconds that it took (of drafting those that were waited for), and that plain decoding is expected
    to take; None where that is unknown."""

    tokens: int
    draft_seconds: float
    verify_seconds: float
    other_seconds: float
    plain_seconds: float | None

    @property
    def seconds(self) -> float:
        return self.draft_seconds + self.verify_seconds + self.other_seconds


class Speed:
    """Of one target. costs: the controller's, as they stand; None for a controller that keeps none."""

    def __init__(self, costs: Callable[[], Costs | None]) -> None:
        self._costs = costs
        self._rounds: list[Round] = []
        self._tokens = self._seconds = self._plain = 0.0

    def observe(self, happened: Round) -> Step | None:
        """The step, when this was the last of its rounds."""
        if self._rounds and self._rounds[0].step != happened.step:
            self._rounds = []
        self._rounds.append(happened)
        if len(self._rounds) < happened.step_sequences:
            return None
        rounds, self._rounds = self._rounds, []
        step = self._step(rounds)
        self._tokens = self._tokens * _KEEP + step.tokens
        self._seconds = self._seconds * _KEEP + step.seconds
        self._plain = self._plain * _KEEP + (step.plain_seconds or 0.0)
        return step

    @property
    def goodput(self) -> float:
        """Tokens a second of recent steps, prompts' reading included; 0 before the first."""
        return self._tokens / self._seconds if self._seconds else 0.0

    @property
    def plain(self) -> float:
        """What plain decoding would have made of the same; 0 where that is unknown."""
        return self._tokens / self._plain if self._plain else 0.0

    @property
    def speedup(self) -> float:
        """Goodput over plain; 0 where that is unknown."""
        return self._plain / self._seconds if self._seconds else 0.0

    def _step(self, rounds: list[Round]) -> Step:
        first, tokens = rounds[0], sum(len(each.tokens) for each in rounds)
        costs = self._costs()
        plain = None if costs is None else _plain_seconds(costs, rounds, tokens)
        awaited = first.step_draft_seconds - first.step_overlap_seconds
        return Step(tokens, awaited, first.step_verify_seconds, first.step_other_seconds, plain)


def _plain_seconds(costs: Costs, rounds: list[Round], tokens: int) -> float:
    fed = [each.fed - each.sent for each in rounds]
    first = costs.target.at(sum(fed), sum(count * each.start for count, each in zip(fed, rounds, strict=True)), len(rounds))
    decoding = [each for each in rounds if each.tokens]
    if not decoding:
        return first
    further = (tokens - len(decoding)) / len(decoding)
    return first + further * costs.target.at(len(decoding), sum(each.start for each in decoding), len(decoding))
