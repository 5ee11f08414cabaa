"""Many drafters, one draft: members guess, a weighted vote decides, and one draft is verified, however many voted.

Three ways to vote. *token*: in lockstep, all members go on from what was voted so far (`lockstep.py`). *mixture*: likewise, but members'
distributions are mixed, and the token is the mixture's own choice (`elections.py`). *sequence*: each member drafts alone, and the
heaviest path through the tree of their drafts is taken (`apart.py`). Every member is scored on the verified
text, whoever won (`ledger.py`).

    LLM("smollm2", drafters=["suffix:smollm2", "nested:draft"])      # a token vote of the two
    LLM("smollm2", drafters=[CollectiveDrafter([SuffixDrafter(), ModelDrafter("small")], vote="sequence", weights="hedge")])
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any, Protocol

from covey.drafters.apart import Apart
from covey.drafters.economy import Economy
from covey.drafters.elections import Election, Mixture, Plurality
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Ledger
from covey.drafters.lockstep import Lockstep
from covey.drafters.member import Member
from covey.drafters.records import Records
from covey.errors import CoveyError
from covey.state import read, write
from covey.types import Draft, Drafter, Host, Round, Sequence
from covey.weights import POLICIES, Policy

log = logging.getLogger(__name__)

VOTES = ("token", "mixture", "sequence")
MOST_MEMBERS = 8


class Voting(Protocol):
    """A way to vote."""

    def vote(self, drafts: list[Growing]) -> None:
        """Write these drafts, all of one target."""
        ...


class CollectiveDrafter(Drafter):
    """A drafter made of drafters.

    members: one to eight, each another object. vote: "token", "mixture" or "sequence". weights: a policy, or the name of one:
    uniform, multiplicative (Smurfs), hedge, log_odds, confidence. min_survival: a voted draft ends before the token with which the
    estimated probability of being right so far falls under this; see SuffixDrafter. thrifty: ask dear members
    only where that pays; False asks everybody everywhere. state: a file that keeps what is learned from one process to the next: how
    often members are right, and what asking them wins. clock: what time is measured with.

    Survival is learned online: by who was for a token, and how sure the surest of them was or how probable it is in the mixture.
    Raises CoveyError for members, vote or weights that cannot be.
    """

    def __init__(
        self,
        members: Seq[Drafter],
        *,
        vote: str = "token",
        weights: str | Policy = "confidence",
        min_survival: float = 0.15,
        thrifty: bool = True,
        state: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not 1 <= len(members) <= MOST_MEMBERS or len({id(member) for member in members}) < len(members):
            raise CoveyError(f"members={[member.name for member in members]}: give 1 to {MOST_MEMBERS} drafters, each another object")
        if vote not in VOTES:
            raise CoveyError(f"vote={vote!r}: vote must be one of {', '.join(VOTES)}")
        if isinstance(weights, str) and weights not in POLICIES:
            raise CoveyError(f"weights={weights!r}: weights must be one of {', '.join(POLICIES)}")
        if not 0 <= min_survival < 1:
            raise CoveyError(f"min_survival={min_survival!r}: min_survival must be from 0 to below 1")
        self.members = [Member(member) for member in members]
        self.name = "+".join(self.member_names)
        self.serves_several = all(member.serves_several for member in members)
        self.wants_hidden = any(member.wants_hidden for member in members)
        policy = POLICIES[weights]() if isinstance(weights, str) else weights
        self.ledger, self._state = Ledger(self.member_names, policy, min_survival), state
        if state is not None:
            read(state, self.member_names, self.ledger.take_up)
        self.voting: Voting
        if vote == "sequence":
            self.voting = Apart(self.members, self.ledger, thrifty, clock)
        else:
            election: Election = Mixture() if vote == "mixture" else Plurality()
            for member in self.members:
                member.tell_likely(election.wants_likely)
            self.voting = Lockstep(self.members, self.ledger, election, thrifty, clock)
        # After a vote on whole drafts a member would go on from its own, not from the one that was sent.
        self.drafts_ahead = vote != "sequence" and any(member.guesser is not None for member in self.members)

    @property
    def bytes_per_token(self) -> int:
        return sum(member.drafter.bytes_per_token for member in self.members)

    @property
    def looks_back(self) -> int | None:  # type: ignore[override]
        """What the one that reads most may read; None where one reads all."""
        every = [member.drafter.looks_back for member in self.members]
        return None if None in every else max(each or 0 for each in every)

    @property
    def member_names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    @property
    def parameter_bytes(self) -> int:
        return sum(getattr(member.drafter, "parameter_bytes", 0) for member in self.members)

    @property
    def records(self) -> Records:
        """How often members were right, by kind of request."""
        return self.ledger.records

    def economy(self, target: str) -> Economy:
        """The books that are kept of what members cost and bring with a target."""
        return self.ledger.economy(target)

    def bind(self, host: Host) -> None:
        """A member that does not fit the target is named by its own error."""
        self.ledger.branches = host.branches
        for member in self.members:
            member.drafter.bind(host)

    def start(self, sequence: Sequence) -> None:
        for member in self.members:
            member.call("start", None, sequence)
        self.ledger.begin(sequence)

    def rest(self, sequence: Sequence) -> None:
        for member in self.members:
            member.call("rest", None, sequence)

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> None:
        for member in self.members:
            member.call("inherit", None, sequence, of, length)

    def stop(self, sequence: Sequence) -> None:
        for member in self.members:
            member.call("stop", None, sequence)
        self.ledger.end(sequence)

    def close(self) -> None:
        for member in self.members:
            member.drafter.close()
        self.ledger.standings.clear()
        if self._state is not None:
            try:
                write(self._state, self.member_names, self.ledger.learned())
            except OSError as error:  # at the end there is nobody left to raise it to
                log.warning("what collective %r has learned is lost: %s", self.name, error)

    def heed(self, floor: float | None, checking: float) -> None:
        self.ledger.heed(floor, checking)
        for member in self.members:
            member.call("heed", None, floor, checking)

    def receive(self, sequence: Sequence, start: int, hidden: Any) -> None:
        for member in self.members:
            if member.drafter.wants_hidden:
                member.call("receive", None, sequence, start, hidden)

    def observe(self, happened: Round) -> None:
        """What the target's time is worth decides who is asked."""
        self.economy(happened.target).observe(happened)
        for member in self.members:
            member.call("observe", None, happened)

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        drafts = [self._open(sequence, length) for sequence, length in zip(sequences, lengths, strict=True)]
        self.voting.vote(drafts)
        return [self.ledger.finished(draft, self.name) for draft in drafts]

    def propose_ahead(self, sequences: list[Sequence], sent: list[int], lengths: list[int]) -> list[Draft]:
        assert isinstance(self.voting, Lockstep)
        parts = zip(sequences, sent, lengths, strict=True)
        drafts = [self.ledger.resume(sequence, 1 + count, length) for sequence, count, length in parts]
        self.voting.go_on([draft for draft in drafts if draft is not None])
        return [Draft.empty(s) if d is None else self.ledger.finished(d, self.name) for s, d in zip(sequences, drafts, strict=True)]

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """Score everybody's guesses, and let the members learn."""
        self.ledger.advance(sequence)
        for member in self.members:
            member.call("commit", None, sequence, draft, accepted)

    def _open(self, sequence: Sequence, length: int) -> Growing:
        if sequence.id not in self.ledger.standings:  # a drafter must do without `start`
            self.start(sequence)
        return self.ledger.open(sequence, length)
