"""What speculation did, summed over Rounds. Everything here can be rebuilt from a trace.

stats = Statistics(); stats.add(happened); stats.mean_accepted_length
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from covey.types import Round


@dataclass
class Statistics:
    """Counts over the rounds of one completion, or of many.

    A draft is counted when at least one of its tokens went to the target. accepted_histogram[i] counts the drafts of
    which exactly i tokens were accepted and committed. draft_, verify_ and other_seconds are those of the steps that
    these rounds took part in, overlap_seconds those of drafting during which the target did something else;
    seconds is wall time, from arrival to the last token. votes counts, for each member of a collective, the accepted tokens that it was
    for, asked how often it was asked; records has how often each was right lately. num_cached_tokens counts prompt tokens that had been
    read before, for another sequence.
    """

    num_rounds: int = 0
    num_prefill_rounds: int = 0
    num_tokens: int = 0
    num_drafts: int = 0
    num_draft_tokens: int = 0
    num_accepted_tokens: int = 0
    num_cached_tokens: int = 0
    accepted_histogram: list[int] = field(default_factory=list)
    draft_seconds: float = 0.0
    verify_seconds: float = 0.0
    other_seconds: float = 0.0
    overlap_seconds: float = 0.0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    votes: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    records: dict[str, float] = field(default_factory=dict)

    def add(self, happened: Round) -> None:
        """Count one round."""
        self.draft_seconds += happened.step_draft_seconds
        self.verify_seconds += happened.step_verify_seconds
        self.other_seconds += happened.step_other_seconds
        self.num_cached_tokens += happened.cached
        self.overlap_seconds += happened.step_overlap_seconds
        if not happened.tokens:
            self.num_prefill_rounds += 1
            return
        self.num_rounds += 1
        self.num_tokens += len(happened.tokens)
        if happened.sent:
            self.num_drafts += 1
            self.num_draft_tokens += happened.sent
            self.num_accepted_tokens += happened.won
            self.accepted_histogram += [0] * (happened.won + 1 - len(self.accepted_histogram))
            self.accepted_histogram[happened.won] += 1
        if happened.votes or happened.members:
            for voters in happened.winners:
                for name in voters:
                    self.votes[name] = self.votes.get(name, 0) + 1
        for member in happened.members:
            self.asked[member.name] = self.asked.get(member.name, 0) + member.asked
            self.records[member.name] = member.record

    @property
    def acceptance_rate(self) -> float:
        """Accepted over drafted tokens; 0 when nothing was drafted."""
        return self.num_accepted_tokens / self.num_draft_tokens if self.num_draft_tokens else 0.0

    @property
    def mean_accepted_length(self) -> float:
        """1 + accepted tokens over rounds with a draft; 1 when there was none."""
        return 1 + self.num_accepted_tokens / self.num_drafts if self.num_drafts else 1.0

    @property
    def tokens_per_round(self) -> float:
        """Committed tokens over all target passes that gave any."""
        return self.num_tokens / self.num_rounds if self.num_rounds else 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        names = ("acceptance_rate", "mean_accepted_length", "tokens_per_round", "tokens_per_second")
        return {**self.__dict__, **{name: getattr(self, name) for name in names}}
