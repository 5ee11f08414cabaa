"""A training-free drafter: what followed the last time that the text read like this, from the text itself.

Good where a text repeats itself or its prompt: summaries, retrieval, edits, code. Each sequence has its own automaton
over its prompt and output, which no other sequence reads; only hit rates are shared. It knows nothing of models.

    LLM("smollm2", drafters=[SuffixDrafter(min_survival=0.1)])
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from math import exp

from covey.drafters.automaton import ROOT, SuffixAutomaton
from covey.types import Draft, Drafter, Sequence

# A forecast is classed by three things: the tokens of context that it rests on (the lower ends of the classes), ...
_LENGTHS = (1, 2, 3, 4, 5, 8, 16, 32)
# ... how the context was followed before (once; more than once and always so; half the time; less often), ...
_ONCE, _ALWAYS, _MOSTLY, _SELDOM = range(4)
# ... and what the next shorter context that occurred elsewhere too says (there is none; the same always; not always).
_UNBACKED, _AGREED, _DOUBTED = range(3)

# Log-odds of a hit as a sum over the three classes: logistic regression on 9,040 forecasts of what
# SmolLM2-135M-Instruct wrote for 144 prompts of nine kinds, its repetition loops left out.
_LENGTH_ODDS = (-0.74, 0.44, 0.73, 1.17, 1.29, 1.97, 2.7, 3.75)
_SUPPORT_ODDS = (0.0, 1.04, -0.67, -1.16)
_BACKING_ODDS = (0.0, 1.12, -0.66)


class HitTable:
    """Hit rates by class of forecast: a built-in prior that gives way to what is seen, and recent trials weigh more.

    Each trial weighs 1 - 1/memory of the next one in its class; the prior weighs as much as `prior_trials` fresh ones.
    """

    def __init__(self, *, prior_trials: float = 16.0, memory: float = 512.0) -> None:
        self.prior_trials = prior_trials
        self.keep = 1.0 - 1.0 / memory
        self.prior = [1 / (1 + exp(-(a + b + c))) for a in _LENGTH_ODDS for b in _SUPPORT_ODDS for c in _BACKING_ODDS]
        self.hits = [0.0] * len(self.prior)
        self.trials = [0.0] * len(self.prior)

    @staticmethod
    def cell(matched: int, support: int, backing: int) -> int:
        """The number of a class; matched is at least 1."""
        return ((bisect_right(_LENGTHS, matched) - 1) * len(_SUPPORT_ODDS) + support) * len(_BACKING_ODDS) + backing

    def probability(self, cell: int) -> float:
        """Estimated probability of a hit, strictly between 0 and 1."""
        return (self.hits[cell] + self.prior_trials * self.prior[cell]) / (self.trials[cell] + self.prior_trials)

    def record(self, cell: int, hit: bool) -> None:
        self.hits[cell] = self.hits[cell] * self.keep + hit
        self.trials[cell] = self.trials[cell] * self.keep + 1.0


@dataclass
class _Memory:
    """What is kept of one sequence: its text, and the last forecast from position `start`, as (cell, token)."""

    text: SuffixAutomaton = field(default_factory=SuffixAutomaton)
    start: int = 0
    forecast: list[tuple[int, int]] = field(default_factory=list)


class SuffixDrafter(Drafter):
    """Proposes what followed the longest suffix of the text that occurred before: the most frequent, then the latest.

    min_match: the fewest tokens of context to draft from. min_survival: a draft ends before the token with which the
    estimated probability of being right so far falls under this, so that a longer, better supported match gives a
    longer draft; 0 always fills the length. The best value is what one more drafted token costs the target, as a
    share of what an accepted one saves: nearly 0 where a pass costs the same for a few tokens more, about a sixth in a
    batch of eight on a small CPU. Replayed with either cost, no kind of text lost by the default. Raises ValueError for
    an option out of range.

    Suffix drafting with counts as in SuffixDecoding (arXiv 2411.04975), on an automaton as in SAM-Decoding (arXiv
    2411.10666).
    """

    name = "suffix"

    def __init__(self, *, min_match: int = 1, min_survival: float = 0.2) -> None:
        if not isinstance(min_match, int) or min_match < 1:
            raise ValueError(f"min_match={min_match!r}: min_match must be a whole number from 1")
        if not 0 <= min_survival < 1:
            raise ValueError(f"min_survival={min_survival!r}: min_survival must be from 0 to below 1")
        self.min_match = min_match
        self.min_survival = min_survival
        self.table = HitTable()
        self._memories: dict[int, _Memory] = {}

    @property
    def bytes_per_token(self) -> int:
        """Measured on texts of SmolLM2 (about 480): states, transitions and counts, in the host's memory."""
        return 512

    def start(self, sequence: Sequence) -> None:
        """The text is read at the first proposal, so that a sequence that never drafts costs nothing."""
        self._memories[sequence.id] = _Memory()

    def stop(self, sequence: Sequence) -> None:
        self._memories.pop(sequence.id, None)

    def close(self) -> None:
        self._memories.clear()

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        return [self._propose(sequence, length) for sequence, length in zip(sequences, lengths, strict=True)]

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """Learn from the committed text itself, not from the draft, which may be cut short or another drafter's."""
        memory = self._memories.get(sequence.id)
        if memory is not None:
            self._score(memory, sequence)

    def _score(self, memory: _Memory, sequence: Sequence) -> None:
        """Count hits up to the first miss; forecast positions that the text has not reached are no trials."""
        for position, (cell, token) in enumerate(memory.forecast[: len(sequence.tokens) - memory.start], memory.start):
            hit = sequence.tokens[position] == token
            self.table.record(cell, hit)
            if not hit:
                break
        memory.forecast = []

    def _propose(self, sequence: Sequence, length: int) -> Draft:
        memory = self._catch_up(sequence)
        memory.start, memory.forecast = len(sequence.tokens), []
        tokens: list[int] = []
        survival: list[float] = []
        alive, state = 1.0, memory.text.match
        matched = memory.text.length[state]
        while len(tokens) < length and matched >= self.min_match:
            best = memory.text.best(state)
            if best is None:  # the draft has reached the text's end, as in a loop: read on from the match before it
                state = memory.text.link[state]
                matched = memory.text.length[state]
                continue
            token, after = best
            cell = self._cell(memory.text, state, matched, after)
            memory.forecast.append((cell, token))  # also when it is not drafted: a rate too low to draft can recover
            alive *= self.table.probability(cell)
            if alive < self.min_survival:
                break
            tokens.append(token)
            survival.append(alive)
            if token in sequence.end_ids:
                break
            state, matched = after, matched + 1
        return Draft(memory.start, sequence.prefix_id, tuple(tokens), tuple(survival), self.name)

    def _catch_up(self, sequence: Sequence) -> _Memory:
        """The sequence's memory, holding all its tokens; made anew for a sequence not started, or grown shorter."""
        memory = self._memories.get(sequence.id)
        if memory is None or memory.text.size > len(sequence.tokens):
            memory = self._memories[sequence.id] = _Memory()
        self._score(memory, sequence)
        memory.text.extend(sequence.tokens[memory.text.size :])
        return memory

    def _cell(self, text: SuffixAutomaton, state: int, matched: int, after: int) -> int:
        """The class of the forecast that `after` follows `state`."""
        if len(text.following[state]) == 1:
            support = _ONCE if text.count[after] <= 1 else _ALWAYS
        else:
            support = _MOSTLY if 2 * text.count[after] >= text.followed(state) else _SELDOM
        return self.table.cell(matched, support, self._backing(text, text.link[state]))

    @staticmethod
    def _backing(text: SuffixAutomaton, shorter: int) -> int:
        """What the next shorter context says: all that followed the longer one followed it too, so one is the same one."""
        if shorter <= ROOT:
            return _UNBACKED
        return _AGREED if len(text.following[shorter]) == 1 else _DOUBTED
