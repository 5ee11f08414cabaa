"""Counts and seconds of target passes, folded from Rounds or from a peer's passes: whole, decoding only, and free of loops.

*Decoding* leaves out every step in which a prompt was still being read. *Free of loops* is decoding up to the token where a
sequence begins to repeat itself (loops.py). A step's seconds are shared equally among the sequences that took part in it, so
that the parts of a batch add up to it. Knows no engine and no clock.

    passes = from_rounds(rounds); passes.decode.tokens / passes.decode.seconds
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from covey.loops import loop_start
from covey.types import Round


@dataclass
class Tally:
    """A sum over passes of single sequences; a pass that gave no token (of a prompt) adds nothing but time.

    drafts, draft_tokens and accepted_tokens are None where a peer does not tell them.
    """

    seconds: float = 0.0
    tokens: int = 0
    passes: int = 0
    drafts: int | None = None
    draft_tokens: int | None = None
    accepted_tokens: int | None = None

    def add(self, other: Tally) -> None:
        """Add another sum to this one. What one of them does not know is known of neither, unless it is empty."""
        if not other.passes and not other.seconds:
            return
        first = not self.passes and not self.seconds
        self.seconds += other.seconds
        self.tokens += other.tokens
        self.passes += other.passes
        for name in ("drafts", "draft_tokens", "accepted_tokens"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs if first else None if mine is None or theirs is None else mine + theirs)

    @property
    def tokens_per_second(self) -> float | None:
        return self.tokens / self.seconds if self.seconds > 0 and self.tokens else None

    @property
    def tokens_per_pass(self) -> float | None:
        return self.tokens / self.passes if self.passes else None

    @property
    def acceptance_rate(self) -> float | None:
        """Accepted over drafted tokens."""
        return self.accepted_tokens / self.draft_tokens if self.draft_tokens and self.accepted_tokens is not None else None

    @property
    def mean_accepted_length(self) -> float | None:
        """1 + accepted tokens over passes with a draft."""
        return 1 + self.accepted_tokens / self.drafts if self.drafts and self.accepted_tokens is not None else None


@dataclass
class Passes:
    """What the target's passes over one group of prompts were.

    looping counts the sequences with a loop. It, draft_ and verify_seconds are None where a peer does not tell.
    """

    whole: Tally = field(default_factory=Tally)
    decode: Tally = field(default_factory=Tally)
    loop_free: Tally = field(default_factory=Tally)
    looping: int | None = 0
    draft_seconds: float | None = None
    verify_seconds: float | None = None
    accepted_histogram: list[int] = field(default_factory=list)

    def add(self, other: Passes) -> None:
        """Add another group's passes to these."""
        for name in ("looping", "draft_seconds", "verify_seconds"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs if not self.whole.passes else None if mine is None or theirs is None else mine + theirs)
        for name in ("whole", "decode", "loop_free"):
            getattr(self, name).add(getattr(other, name))
        self.accepted_histogram += [0] * (len(other.accepted_histogram) - len(self.accepted_histogram))
        for i, count in enumerate(other.accepted_histogram):
            self.accepted_histogram[i] += count

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Passes:
        tallies = {name: Tally(**data[name]) for name in ("whole", "decode", "loop_free")}
        return cls(**{**data, **tallies})


def from_rounds(rounds: Iterable[Round]) -> Passes:
    """Fold covey's own Rounds of one call: every sequence's, all steps complete."""
    steps: dict[int, list[Round]] = defaultdict(list)
    outputs: dict[int, list[int]] = defaultdict(list)
    for happened in rounds:
        steps[happened.step].append(happened)
        outputs[happened.sequence_id] += happened.tokens
    cuts = {sequence: loop_start(output) for sequence, output in outputs.items()}
    passes = Passes(draft_seconds=0.0, verify_seconds=0.0, looping=sum(cut is not None for cut in cuts.values()))
    done: dict[int, int] = defaultdict(int)
    for members in steps.values():
        reading = any(happened.prefilled for happened in members)
        passes.draft_seconds += members[0].step_draft_seconds  # type: ignore[operator]
        passes.verify_seconds += members[0].step_verify_seconds  # type: ignore[operator]
        for happened in members:
            part = _tally(happened)
            done[happened.sequence_id] += part.tokens
            _count_histogram(passes.accepted_histogram, happened)
            _sort_in(passes, part, reading, done[happened.sequence_id], cuts[happened.sequence_id])
    return passes


def from_passes(outputs: Sequence[Sequence[int]], ends: Sequence[tuple[int, float]]) -> Passes:
    """Fold a peer's passes over one batch. ends: after each pass, the tokens per sequence so far and the seconds since the start.

    A sequence that has ended takes part in no later pass. The first pass is the one that read the prompts.
    """
    cuts = [loop_start(output) for output in outputs]
    passes = Passes(looping=sum(cut is not None for cut in cuts))
    before, began = 0, 0.0
    for number, (after, ended) in enumerate(ends):
        given = {i: min(after, len(o)) - min(before, len(o)) for i, o in enumerate(outputs)}
        members = {i: count for i, count in given.items() if count}
        for i, count in members.items():
            part = Tally((ended - began) / len(members), count, 1)
            _sort_in(passes, part, number == 0, min(after, len(outputs[i])), cuts[i])
        before, began = after, ended
    return passes


def _tally(happened: Round) -> Tally:
    seconds = happened.step_draft_seconds + happened.step_verify_seconds + happened.step_other_seconds
    return Tally(
        seconds=seconds / happened.step_sequences,
        tokens=len(happened.tokens),
        passes=int(bool(happened.tokens)),
        drafts=int(happened.sent > 0),
        draft_tokens=happened.sent,
        accepted_tokens=happened.won,
    )


def _count_histogram(histogram: list[int], happened: Round) -> None:
    """histogram[i] counts the drafts of which exactly i tokens were accepted."""
    if happened.sent:
        histogram += [0] * (happened.won + 1 - len(histogram))
        histogram[happened.won] += 1


def _sort_in(passes: Passes, part: Tally, reading: bool, end: int, cut: int | None) -> None:
    """Add a pass of one sequence wherever it belongs; `end` is how far its output reaches after it."""
    passes.whole.add(part)
    if not reading:
        passes.decode.add(part)
        if cut is None or end <= cut:
            passes.loop_free.add(part)
