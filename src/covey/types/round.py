"""What happened to one sequence in one step, whole: observers read rounds, traces are made of them.

Knows nothing of who reads it or where traces are kept.

    line = json.dumps(happened.to_dict()); Round.from_dict(json.loads(line)) == happened
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from covey.types.contribution import Contribution
from covey.types.draft import Branch
from covey.types.sequence import FinishReason


@dataclass(frozen=True)
class Round:
    """What happened to one sequence in one engine step. All that metrics, controllers, benchmarks and traces read.

    planned is the cap k that the controller gave; drafted the tokens sent to the target, and branches those sent beside them; accepted how
    many of the drafted ones were committed, branched how many of the branches behind these (0 or 1); tokens everything committed (empty
    while a prompt is still being prefilled). proposed is the whole draft, which begins with what was sent, without branches; survival is
    that of all of it. gain, cost and reason are the controller's: the
    drafted tokens that it expected to be accepted, the seconds that it expected them to add to the step, and why it sent so
    many. The step_* fields describe the whole step and are equal for all its rounds: sequences and tokens in the target's
    pass, and the seconds of drafting, verifying and everything else. Of the seconds of drafting step_overlap_seconds passed while
    the target did something else, so that a step lasts draft - overlap + verify + other. pipeline is how drafting and verifying took
    turns. pool: sequences whose drafts were ready, or being written, when the pass began, its own not among them; pool_limit: so
    many ready ones at most, drafters pause there. votes and members: see Draft. cached, told in a sequence's
    first round alone, is how many positions of its prompt had been read before, for another sequence. During step_beside_seconds of
    the pass a drafter was at work, on whichever step's drafts.
    """

    step: int
    sequence_id: int
    request_id: str
    index: int
    start: int
    planned: int
    drafted: tuple[int, ...]
    survival: tuple[float, ...]
    source: str
    accepted: int
    tokens: tuple[int, ...]
    prefilled: int
    finish_reason: FinishReason | None
    step_sequences: int
    step_tokens: int
    step_draft_seconds: float
    step_verify_seconds: float
    step_other_seconds: float
    target: str = ""
    votes: tuple[tuple[str, ...], ...] = ()
    members: tuple[Contribution, ...] = ()
    proposed: tuple[int, ...] = ()
    gain: float = 0.0
    cost: float = 0.0
    reason: str = ""
    cached: int = 0
    step_overlap_seconds: float = 0.0
    pipeline: str = "serial"
    pool: int = 0
    pool_limit: int = 0
    step_beside_seconds: float = 0.0
    branches: tuple[Branch, ...] = ()
    branched: int = 0

    @property
    def fed(self) -> int:
        """Tokens of this sequence in the target's pass."""
        return self.prefilled + self.sent + bool(self.tokens)

    @property
    def sent(self) -> int:
        """Drafted tokens in it, branches included."""
        return len(self.drafted) + len(self.branches)

    @property
    def won(self) -> int:
        """Those of them that were accepted and committed."""
        return self.accepted + self.branched

    @property
    def ventured(self) -> float:
        """Seconds of drafting that a collective spent by its own reckoning: see Contribution."""
        return sum(member.ventured for member in self.members)

    @property
    def voters(self) -> tuple[tuple[str, ...], ...]:
        """Who was for each drafted token: members of a collective, or the drafter that has none."""
        return self.votes or ((self.source,),) * len(self.drafted)

    @property
    def winners(self) -> tuple[tuple[str, ...], ...]:
        """Who was for each of the tokens that were accepted and committed."""
        return tuple(names for names, came in self.fates if came)

    @property
    def fates(self) -> tuple[tuple[tuple[str, ...], bool], ...]:
        """Of each token that was sent who was for it, and whether it was accepted and committed: the drafted ones, then the branches."""
        line = [(names, place < self.accepted) for place, names in enumerate(self.voters)]
        return *line, *((branch.votes or (self.source,), self.came(branch)) for branch in self.branches)

    def came(self, branch: Branch) -> bool:
        """Whether one of the branches was accepted and committed."""
        return bool(self.branched) and branch.place == self.accepted and branch.token == self.tokens[self.accepted]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Round:
        """From what to_dict gave, through JSON too. Raises ValueError for a field that no round has, TypeError for one that is missing."""
        data = _with_members(data)
        known = {f.name for f in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown fields in a round: {sorted(unknown)}")
        frozen: dict[str, Any] = {k: _frozen(v) for k, v in data.items()}
        members = tuple(Contribution(**each) for each in data.get("members", ()))
        return cls(**frozen | {"members": members, "branches": tuple(Branch(*each) for each in frozen.get("branches", ()))})


# Traces of covey 0.1 and before have a list of (name, value) pairs for each field of a Contribution.
_LISTS = {"records": "record", "weights": "weight", "asked": "asked", "spent": "spent"}


def _with_members(data: dict[str, Any]) -> dict[str, Any]:
    """The same, the lists of an older trace put together."""
    lists = {field: dict(data[name]) for name, field in _LISTS.items() if name in data}
    if not lists:
        return data
    names = lists.get("record", {})
    members = [{"name": name, **{field: of[name] for field, of in lists.items() if name in of}} for name in names]
    return {field: value for field, value in data.items() if field not in _LISTS} | {"members": members}


def _frozen(value: Any) -> Any:
    """Lists, also within lists, as tuples."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
