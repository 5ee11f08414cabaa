"""covey's controller: the lengths that are expected to give the most tokens a second, 0 included.

Before drafting it asks whether a draft is expected to pay for itself, from how drafts of this sequence turned out lately and from
measured costs; after drafting it takes as many of the drafted tokens of all sequences, surest first, as pay for being verified.

    controller = Goodput(costs, longest=8)

The objective is that of TurboSpec (arXiv 2406.14066), here for each sequence, twice a step, and against a price: a token is worth the
seconds that tokens take at the best that can be expected with the present batch.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

import numpy
from numpy.typing import NDArray

from covey.control.controller import Controller, Cut, Load
from covey.control.knowledge import Knowledge
from covey.control.market import Prospect, best_offer, profits
from covey.control.probes import Savings
from covey.control.sending import reason, worth_a_thought, worth_sending
from covey.cost import Costs, Drafting
from covey.types import Draft, Round, Sequence

_PROBE_LENGTH = 2
_MARGIN = 0.04  # tokens a sequence that a step's drafts must be expected to win: estimates are not exact
_CARE = 1.2  # what drafts must be expected to win over what they cost: to lose is worse than not to win
_FREE = 0.05  # of a pass: the least that a probe is taken to cost, though its tokens should cost nothing by all that is known


@dataclass(frozen=True)
class _Asked:
    """A draft that was planned and not trimmed yet: it may come some steps later. unread: what the drafter had to read for it."""

    length: int
    probe: bool
    price: float
    unread: int


@dataclass
class _Step:
    """The step under way: who was asked for how much, who is a probe, and what was priced."""

    lengths: dict[int, int]
    probes: set[int]
    price: float
    unread: int
    work: Drafting | None = None


@dataclass(frozen=True)
class _Bid:
    """What is planned. price: tokens that a second is worth; slot: tokens that a place in the pass is; how far drafts go, and whose;
    charged: what of a second of drafting is."""

    price: float
    slot: float
    depth: int
    chosen: NDArray[numpy.bool_]
    charged: float = 1.0


class Goodput(Controller):
    """See the module. costs are refreshed from every step. longest: the longest draft."""

    def __init__(self, costs: Costs, longest: int) -> None:
        self.costs, self.longest = costs, longest
        self.known = Knowledge(costs, longest)
        self._step = _Step({}, set(), 0.0, 0)
        self._asked: dict[int, _Asked] = {}
        self._savings = Savings()

    # -- before drafting

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        rooms = [min(self.longest, sequence.max_draft_tokens) for sequence in sequences]
        able = [i for i, room in enumerate(rooms) if room > 0]
        lengths = [0] * len(sequences)
        self._step = _Step({}, set(), 0.0, 0)
        if not able:
            return lengths
        asked = [sequences[i] for i in able]
        bid = self._best(asked, self.known.prospect(asked, [rooms[i] for i in able]), load)
        self._step.price = bid.price
        for i in [i for i, drafts in zip(able, bid.chosen.tolist(), strict=True) if drafts][: self._bold(asked, load)]:
            lengths[i] = min(rooms[i], bid.depth)
        if not any(lengths):
            self._maybe_probe([(sequences[i], i) for i in able], rooms, lengths, load)
        self._begin(sequences, lengths)
        drafter = self.costs.drafter
        # A further guess costs a step, which sequences share, and is as good as guesses are.
        guess = bid.price * bid.charged * (drafter.per_step / max(1, len(self._step.lengths)) + drafter.per_token)
        self.checking = 0.0 if self._step.probes else bid.slot
        self.floor = 0.0 if self._step.probes else (bid.slot + guess) / self.known.trust.rate
        return lengths

    def _bold(self, sequences: list[Sequence], load: Load) -> int:
        """How many sequences may draft on hope alone: until a few drafts were made not many at a time, and none for a slow drafter, which
        is tried as a probe is."""
        if not self.known.is_hope:
            return len(sequences)
        slow = self.costs.drafter.seconds(Drafting(1, 1, 1)) > self.known.passes(sequences, load).at(0) / 2
        return 0 if slow else -(-len(sequences) // 4)

    def _best(self, sequences: list[Sequence], prospect: Prospect, load: Load) -> _Bid:
        """Who drafts, and how far, for the most tokens a second; nobody, where drafts are not expected to win a token.

        A second is worth what it brings in decoding, also in a step that reads a prompt besides: such a step is long whatever is drafted,
        and time is no cheaper for that.
        """
        decoding = Load(len(sequences), sum(len(sequence.tokens) for sequence in sequences), len(sequences))
        step = self.known.passes(sequences, decoding)
        plain = step.at(0)
        best, chosen = _Bid(len(sequences) / plain, 0.0, 0, numpy.zeros(len(sequences), bool)), numpy.ones(len(sequences), bool)
        slots, drafting = 0.0, 0.0
        for _ in range(0 if self._hopeless(prospect, plain) else 2):  # what everybody would win together says who does not pay
            offer = best_offer(prospect, chosen, self.costs.drafter, self.known.charge, plain, step.seconds)
            if offer.gain - _CARE * (offer.seconds - plain) * len(sequences) / plain > _MARGIN * len(sequences) and offer.rate > best.price:
                best = _Bid(offer.rate, 0.0, min(self.longest, offer.depth + 1), chosen, offer.charged)
                slots, drafting = offer.slots, offer.drafting
            staying = chosen & (profits(prospect, offer, self.costs.drafter, max(offer.rate, len(sequences) / plain)) > 0)
            if staying.all() or not staying.any():
                break
            chosen = staying
        self.known.woken(sequences, best.chosen.tolist())
        # A staircase has no slope: the slots of this pass, and one more for everybody, pay alike for all that they cost together.
        more = slots + len(sequences)
        step = self.known.passes(sequences, load)
        longer = self.known.charge.relieved(step.at(more), drafting) - self.known.charge.relieved(step.at(0), drafting)
        return replace(best, slot=best.price * float(longer) / more)

    def _hopeless(self, prospect: Prospect, plain: float) -> bool:
        """Whether drafts would not pay if all that is expected of them were to be had for what it takes to begin the cheapest: then there
        is nothing to weigh, and most of the time of a plan is saved where drafts never pay."""
        sequences = len(prospect.entry)
        gain = float(prospect.surviving.sum())
        least = self.known.charge.share(0.0, plain) * (self.costs.drafter.per_call + float(prospect.entry.min()))
        return gain - _CARE * least * sequences / plain <= _MARGIN * sequences

    def _maybe_probe(self, able: list[tuple[Sequence, int]], rooms: list[int], lengths: list[int], load: Load) -> None:
        """Where nobody drafts, one sequence does, as often as a hundredth of the time pays for it."""
        sequence, at = min(able, key=lambda each: (self.known.missed(each[0]), each[0].id))
        unread = self.known.missed(sequence)
        # Where it is being asked that costs, much may be asked: a short draft tells little of long ones.
        dear = (
            self.costs.drafter.seconds(Drafting(1, 1, 1, unread))
            < self.costs.drafter.seconds(Drafting(self.longest, self.longest, 1, unread)) / 2
        )
        length = min(_PROBE_LENGTH if dear else self.longest, rooms[at])
        cost = self.costs.drafter.seconds(Drafting(length, length, 1, unread))
        step = self.known.passes([sequence], load)
        cost += max(_FREE * step.at(0), step.at(length) - step.at(0))
        if self._savings.pay(cost):
            lengths[at] = length
            self._step.probes.add(sequence.id)

    def _begin(self, sequences: list[Sequence], lengths: list[int]) -> None:
        """Note who is asked, and what their drafter has to read for it."""
        for sequence, length in zip(sequences, lengths, strict=True):
            self._asked.pop(sequence.id, None)
            if length:
                self._step.lengths[sequence.id] = length
                probe = sequence.id in self._step.probes
                self._asked[sequence.id] = _Asked(length, probe, self._step.price, self.known.missed(sequence))
                sequence.shown = len(sequence.tokens)
            else:
                self.known.rested(sequence)

    # -- after drafting

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        step = self._taken(sequences, drafts)
        if not step.lengths and not any(map(len, drafts)):
            return [Cut(0, reason="does not pay")] * len(sequences)
        survival = []
        for sequence, draft in zip(sequences, drafts, strict=True):
            found, asked = self.known.trust.corrected(draft.survival, sequence.id), step.lengths.get(sequence.id, 0)
            if asked:
                self.known.heard(sequence, worth_a_thought(found), asked)
            survival.append(self.known.believed(draft, found, sequence)[: asked or None])
        written = [len(draft) for draft in drafts]
        step.work = Drafting(max(written, default=0), sum(written), len(step.lengths), step.unread)
        return self._cuts(sequences, survival, load)

    def _taken(self, sequences: list[Sequence], drafts: list[Draft]) -> _Step:
        """The step of those whose drafts have come: planned together or apart, just now or before others.

        Who says nothing has read nothing, as far as one can tell: a drafter that waits for the target's hidden states has not.
        """
        asked = {sequence.id: self._asked.pop(sequence.id) for sequence in sequences if sequence.id in self._asked}
        probes = {number for number, each in asked.items() if each.probe}
        price = max((each.price for each in asked.values()), default=0.0)
        unread = 0
        for sequence, draft in zip(sequences, drafts, strict=True):
            if sequence.id in asked and len(draft):
                unread += asked[sequence.id].unread
            elif sequence.id in asked:
                sequence.shown -= asked[sequence.id].unread
        self._step = _Step({number: each.length for number, each in asked.items()}, probes, price, unread)
        return self._step

    def _cuts(self, sequences: list[Sequence], survival: Seq[Seq[float]], load: Load) -> list[Cut]:
        """What is sent of each draft, and what that is expected to win and to cost."""
        step, target, spent = self._step, self.known.passes(sequences, load), self._spent
        probes = [sequence.id in step.probes for sequence in sequences]
        kept = worth_sending(survival, probes, step.price, lambda slots: self.known.charge.relieved(target.seconds(slots), spent))
        plain = target.at(0)
        slot = (target.at(sum(kept)) - plain) / max(1, sum(kept))
        drafting = float(self.known.charge.seconds(spent, plain)) / max(1, len(step.lengths))
        cuts = []
        for sequence, found, length, probe in zip(sequences, survival, kept, probes, strict=True):
            asked = sequence.id in step.lengths
            cost = length * slot + (drafting if asked else 0.0)
            cuts.append(Cut(length, sum(found[:length]), cost, reason(length, len(found), asked, probe)))
        return cuts

    # -- what came of it

    def observe(self, rounds: list[Round]) -> None:
        first = rounds[0]
        self.known.observe(rounds, self._step.work if self._step.lengths else None)
        seconds = first.step_verify_seconds + first.step_other_seconds
        self._savings.add(seconds + first.step_draft_seconds - first.step_overlap_seconds)

    def forget(self, sequence: Sequence) -> None:
        self._asked.pop(sequence.id, None)
        self.known.forget(sequence)

    @property
    def _spent(self) -> float:
        """Seconds of drafting in the step under way."""
        return self.costs.drafter.seconds(self._step.work) if self._step.work else 0.0
