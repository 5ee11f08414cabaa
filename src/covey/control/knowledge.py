"""What is known of drafts and of what they cost, and how it comes to be known.

Of each sequence and of all together: how drafts turned out lately, by the word of their drafter (`heard`). Of the drafter: how far that
word can be believed, and of passes and drafting: what they take, from every step (`observe`). Decides nothing.

    known = Knowledge(costs, longest=8); known.prospect(sequences, rooms); known.passes(sequences, load).at(3)
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import partial

import numpy
from numpy.typing import NDArray

from covey.charge import Charge
from covey.control.controller import Load
from covey.control.market import Prospect
from covey.cost import Costs, Drafting, DraftSample, PassCost, PassSample
from covey.survival import Outlook, Trust, Turnout, conditionals, outlooks
from covey.types import Branch, Draft, Round, Sequence

Floats = NDArray[numpy.float64]

_GROUND = 6.0  # drafts that what is known at large weighs against a sequence's own
_OWN_MEMORY, _GROUND_MEMORY = 16.0, 128.0
_SHY = 6  # drafts, the two that were only hoped for among them, before which next to nothing is known
_WAKING = 1.1  # what does not draft begins again when that pays by a tenth, so that it does not flap
_HORIZON = 8  # rounds that reading what a drafter has missed is paid off in: nobody knows for how long drafts will pay


@dataclass
class _Drafted:
    """What is kept of a sequence: how its drafts turned out, and whether it drafted last time."""

    outlook: Outlook
    awake: bool = True


@dataclass(frozen=True)
class Pass:
    """A pass of some sequences with drafted tokens beside what is fed anyway, each of which looks back so far."""

    cost: PassCost
    load: Load
    far: float

    def seconds(self, slots: Floats) -> Floats:
        """With each of these numbers of drafted tokens."""
        return self.cost.seconds(self.load.tokens + slots, self.load.reach + slots * self.far, self.load.sequences)

    def at(self, slots: float) -> float:
        """With so many drafted tokens."""
        return self.cost.at(self.load.tokens + slots, self.load.reach + slots * self.far, self.load.sequences)


class Knowledge:
    """See the module. costs are refreshed from every step. longest: the longest draft. charge: what of drafting is charged, under the way
    of taking turns of late."""

    def __init__(self, costs: Costs, longest: int) -> None:
        self.costs, self.longest = costs, max(1, longest)
        self.trust, self.aside, self.charge = Trust(), Trust(), Charge()
        self._charges: dict[str, Charge] = {}  # by the way of taking turns
        self._ground = Outlook.hopeful(self.longest)
        self._drafted: dict[int, _Drafted] = {}

    @property
    def is_hope(self) -> bool:
        """Whether what is expected of drafts is hope, more than knowledge."""
        return self._ground.trials < _SHY

    # -- what is expected

    def prospect(self, sequences: list[Sequence], rooms: list[int]) -> Prospect:
        """What drafts of these sequences are expected to turn out like, of at most so many tokens, and what each costs to begin with."""
        own = [self._of(sequence) for sequence in sequences]
        share, surviving = outlooks([each.outlook for each in own], self._ground, _GROUND)
        for number, room in enumerate(rooms):
            share[number, room:] = surviving[number, room:] = 0
        drafter = self.costs.drafter
        rounds = [min(_HORIZON, max(1, sequence.room)) for sequence in sequences]
        entry = [
            (drafter.per_sequence + drafter.per_unread * self.missed(sequence) / left) * (1.0 if each.awake else _WAKING)
            for sequence, each, left in zip(sequences, own, rounds, strict=True)
        ]
        return Prospect(share, surviving, numpy.array(entry))

    def passes(self, sequences: list[Sequence], load: Load) -> Pass:
        """What the target's next pass costs."""
        return Pass(self.costs.target, load, sum(len(sequence.tokens) for sequence in sequences) / max(1, len(sequences)))

    def missed(self, sequence: Sequence) -> int:
        """Tokens that its drafter would read first, of those that it has not been shown yet."""
        return self.costs.drafter.to_read(len(sequence.tokens) - sequence.shown)

    def believed(self, draft: Draft, survival: Seq[float], sequence: Sequence) -> list[float]:
        """How likely its tokens, branches included, are to survive as far as the drafter's word can be believed, in the order in which they
        are sent. survival: that of the draft without branches, corrected."""
        if not draft.branches:
            return list(survival)
        found, alive = [], 1.0
        for number in draft.ranked:
            if number < len(draft):
                value = survival[number]
            else:
                branch = draft.branches[number - len(draft)]
                before = survival[branch.place - 1] if branch.place else 1.0
                value = before * self.aside.of(_conditional(branch, draft.survival), sequence.id)
            alive = min(alive, value)
            found.append(alive)
        return found

    # -- what is planned and drafted

    def woken(self, sequences: list[Sequence], drafting: list[bool]) -> None:
        """Which of these are to draft, and which are not."""
        for sequence, awake in zip(sequences, drafting, strict=True):
            self._of(sequence).awake = awake

    def rested(self, sequence: Sequence) -> None:
        """It was not asked: what is known of it fades, so that it returns to what is known at large and is tried again."""
        self._of(sequence).outlook.fade(_OWN_MEMORY)

    def heard(self, sequence: Sequence, survival: Seq[float], asked: int) -> None:
        """A draft has come, of `asked` tokens: how likely they are to survive, as far as the drafter's word can be believed."""
        turnout = Turnout.of(survival, asked, self.trust.rate, self.longest)
        self._of(sequence).outlook.record(turnout, _OWN_MEMORY)
        self._ground.record(turnout, _GROUND_MEMORY)

    # -- what came of it

    def observe(self, rounds: list[Round], drafted: Drafting | None) -> None:
        """A step has been made, with so much drafting."""
        first = rounds[0]
        seconds = first.step_verify_seconds + first.step_other_seconds
        self.charge = self._charges.setdefault(first.pipeline, Charge())
        self.charge.observe(first.step_draft_seconds, first.step_overlap_seconds, seconds)
        if fed := sum(each.fed for each in rounds):
            reach = sum(each.fed * each.start for each in rounds)
            expected = partial(self.costs.target.at, fed, reach, len(rounds))
            if (alone := self.charge.alone(seconds, first.step_beside_seconds, expected)) is not None:
                self.costs.target.observe(PassSample(fed, reach, alone, len(rounds)))
        if drafted is not None:
            ventured = sum(each.ventured for each in rounds)
            self.costs.drafter.observe(DraftSample(drafted, max(1e-9, first.step_draft_seconds - ventured), ventured))
        for each in rounds:
            self._learn(each)
            self._learn_of_branches(each)

    def forget(self, sequence: Sequence) -> None:
        self._drafted.pop(sequence.id, None)
        self.trust.forget(sequence.id)
        self.aside.forget(sequence.id)

    def _learn(self, happened: Round) -> None:
        """Score the drafted tokens, up to the first that was wrong. After the end of a text nobody knows what would have come."""
        for depth, estimate in enumerate(conditionals(happened.survival[: len(happened.drafted)])):
            hit = depth < happened.accepted
            if not hit and happened.finish_reason:
                return
            self.trust.record(estimate, hit, happened.sequence_id)
            if not hit:
                return

    def _learn_of_branches(self, happened: Round) -> None:
        """The same of branches at places that the text came to as it was drafted."""
        for branch in happened.branches:
            came = happened.came(branch)
            if branch.place <= happened.accepted and (came or not happened.finish_reason):
                self.aside.record(_conditional(branch, happened.survival), came, happened.sequence_id)

    def _of(self, sequence: Sequence) -> _Drafted:
        if sequence.id not in self._drafted:
            self._drafted[sequence.id] = _Drafted(Outlook(self.longest))
        return self._drafted[sequence.id]


def _conditional(branch: Branch, survival: Seq[float]) -> float:
    """A branch's probability, if the draft before it is right. survival: that draft's."""
    before = survival[branch.place - 1] if branch.place else 1.0
    return min(1.0, branch.survival / before) if before > 0 else 0.0
