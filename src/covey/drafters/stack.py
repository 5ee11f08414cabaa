"""Nested drafters that share a trunk, run as one: each pass is over the rows of all of them.

What a pass feeds and what becomes of what it leaves is for each drafter to say, by itself (`Seated`); a drafter alone is a stack of one.
Knows nothing of votes, nor of what it costs.

    stack = Stack(runner, [code, finance]); stack.ask([(code, draft), (finance, other)])      # a guess for each
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from covey.drafters.guesser import Growing, Guess
from covey.model.exits import ExitRunner
from covey.model.runner import Feed
from covey.model.sampling import Choice, Position, weigh_choices
from covey.types import Sequence


class Seated(Protocol):
    """A drafter in a stack: it knows how far each of its sequences is read, and what to make of an exit's choice."""

    seat: int
    tells_likely: bool

    def prepare(self, growing: list[Growing]) -> None: ...

    def note(self, growing: list[Growing], guesses: list[Guess | None]) -> None: ...

    def feed(self, stage: int, draft: Growing) -> tuple[Feed, Tensor | None]: ...

    def left(self, stage: int, draft: Growing, count: int, hidden: Tensor | None, normed: Tensor) -> None: ...

    def lags(self, stage: int, draft: Growing) -> bool: ...

    def judge(self, stage: int, draft: Growing, choice: Choice) -> Guess | None: ...

    def fit(self, logits: Tensor, sequence: Sequence) -> Tensor: ...

    def cached(self, sequence: Sequence) -> int: ...

    def rewind(self, sequence: Sequence, length: int) -> None: ...


@dataclass(frozen=True, eq=False)
class Part:
    """One drafter's draft of one sequence."""

    drafter: Seated
    draft: Growing


class Stack:
    """See above. seated: the drafters, by their seats. All that is asked at once is of one target."""

    def __init__(self, runner: ExitRunner, seated: Seq[Seated]) -> None:
        self.runner, self.seated = runner, seated

    def ask(self, asked: list[tuple[Seated, Growing]]) -> list[Guess | None]:
        """As Guesser.ask, for several drafters. Where it fails each of them is where it was before, and can be asked by itself."""
        parts = [Part(drafter, draft) for drafter, draft in asked]
        for part in parts:
            part.drafter.prepare([part.draft])
        before = [part.drafter.cached(part.draft.sequence) for part in parts]
        try:
            guesses: list[Guess | None] = [*self.guess(parts)]
        except Exception:
            for part, cached in zip(parts, before, strict=True):
                part.drafter.rewind(part.draft.sequence, cached)
            raise
        for part, guess in zip(parts, guesses, strict=True):
            part.drafter.note([part.draft], [guess])
        return guesses

    def guess(self, parts: list[Part]) -> list[Guess]:
        """All to the first exit, and on with those that are not sure enough."""
        found: dict[Part, Guess] = {}
        deeper = parts
        for stage in range(self.runner.num_stages):
            unsure: list[Part] = []
            for part, choice in zip(deeper, self.choices(stage, deeper), strict=True):
                guess = part.drafter.judge(stage, part.draft, choice)
                if guess is None:
                    unsure.append(part)
                else:
                    found[part] = guess
            if not unsure:
                break
            deeper = unsure
        return [found[part] for part in parts]

    def choices(self, stage: int, parts: list[Part]) -> list[Choice]:
        """Run one stage over all positions that it has not seen, and what its exit chooses next in each draft."""
        last: dict[Part, Tensor] = {}
        behind = parts
        while behind:
            last |= self._run(stage, behind)
            behind = [part for part in behind if part.drafter.lags(stage, part.draft)]
        return self._chosen(torch.stack([last[part] for part in parts]), parts)

    def _chosen(self, normed: Tensor, parts: list[Part]) -> list[Choice]:
        """What an exit says to hidden states, [parts, H].

        Where tokens are treated by their scores alone it is enough to look at those that the draft knows, which are few.
        """
        seats, first = [part.drafter.seat for part in parts], parts[0]
        positions = [Position(part.draft.sequence, tuple(part.draft.tokens)) for part in parts]
        if all(part.draft.sequence.params.by_score for part in parts):
            known = self.runner.known_logits(normed, seats)
            found = weigh_choices(known, positions, first.drafter.tells_likely, self.runner.known)
            return [choice.named(self.runner.tokens) for choice in found]
        logits = first.drafter.fit(self.runner.logits(normed, seats), first.draft.sequence)
        return weigh_choices(logits, positions, first.drafter.tells_likely)

    def _run(self, stage: int, parts: list[Part]) -> dict[Part, Tensor]:
        """One pass over what a stage has not seen of each draft; what it leaves at each one's last position, normed, [H]."""
        fed = [part.drafter.feed(stage, part.draft) for part in parts]
        given = [hidden for _, hidden in fed if hidden is not None]
        feeds = [feed for feed, _ in fed]
        seats = [part.drafter.seat for part in parts]
        hidden, counts = torch.cat(given) if given else None, [len(feed.tokens) for feed in feeds]
        left: Seq[Tensor | None]
        if stage + 1 < self.runner.num_stages:
            left = states = self.runner.run(stage, feeds, hidden, seats).split(counts)
            last = torch.stack([each[-1] for each in states])
        else:
            left, last = [None] * len(parts), self.runner.run_for_last(stage, feeds, hidden, seats)
        ends = self.runner.normed(last)
        for part, count, own, normed in zip(parts, counts, left, ends.split(1), strict=True):
            part.drafter.left(stage, part.draft, count, own, normed)
        return dict(zip(parts, ends, strict=True))
