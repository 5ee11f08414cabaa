"""Controllers compared with no model: recorded drafts, measured costs, and a clock that is only added up.

A trace that `controller="watch"` has written holds the target's text and, for every position, the draft that would have been
made there. From that and from costs it can be computed what any controller would have done, and how long it would have taken: the
same every time, on any machine, also with the costs of another one. Knows nothing of targets and drafters.

    texts = read_trace(Path("trace.jsonl")); replay(texts, lambda costs: Goodput(costs, 8), costs, batch=4).tokens_per_second
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from covey.control import Controller, Cut, FixedLength, Load, make_controller
from covey.cost import Costs, Drafting
from covey.errors import CoveyError
from covey.sampling_params import SamplingParams
from covey.types import Contribution, Draft, Round, Sequence


@dataclass(frozen=True)
class Recorded:
    """One text: how long its prompt is, the tokens that the target wrote, and at some or all of them the draft of what follows:
    (tokens, survival) by how many tokens had been written."""

    prompt_tokens: int
    tokens: tuple[int, ...]
    drafts: dict[int, tuple[tuple[int, ...], tuple[float, ...]]]


@dataclass
class Replayed:
    """What a controller came to. lengths: how often so many tokens of a sequence were sent; steps: (sequences, mean length) of each."""

    tokens: int = 0
    seconds: float = 0.0
    rounds: int = 0
    lengths: dict[int, int] = field(default_factory=dict)
    steps: list[tuple[int, float]] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_round(self) -> float:
        return self.tokens / self.rounds if self.rounds else 0.0


def read_trace(place: Path) -> list[Recorded]:
    """The texts of a trace, in the order in which they began. Raises CoveyError for a file that is none."""
    rounds: dict[int, list[Round]] = {}
    try:
        with place.open(encoding="utf-8") as lines:
            for line in lines:
                happened = Round.from_dict(json.loads(line))
                rounds.setdefault(happened.sequence_id, []).append(happened)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CoveyError(f"trace={str(place)!r}: not a trace of rounds ({_why(error)}); write one with --trace") from None
    return recorded(each for each in rounds.values())


def read_costs(place: Path) -> Costs:
    """The costs that `covey costs` has written. Raises CoveyError for a file that holds none."""
    try:
        return Costs.from_dict(json.loads(place.read_text("utf-8"))["costs"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CoveyError(f"costs={str(place)!r}: not a file of costs ({_why(error)}); write one with covey costs --output") from None


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def recorded(sequences: Iterable[list[Round]]) -> list[Recorded]:
    """Texts from the Rounds of sequences. Raises CoveyError for drafts that were not watched only."""
    texts = []
    for rounds in sequences:
        spoken = [each for each in rounds if each.tokens]
        if any(each.drafted for each in spoken):
            raise CoveyError("trace: drafts were sent to the target in it; a replay needs all positions: record with controller=watch")
        if any(after.start != before.start + len(before.tokens) for before, after in pairwise(spoken)):
            raise CoveyError("trace: rounds do not follow one another, as where two runs wrote to one file: record to a new file")
        if spoken:
            start = spoken[0].start
            drafts = {each.start - start: (each.proposed, each.survival) for each in spoken if each.proposed}
            texts.append(Recorded(start, tuple(token for each in spoken for token in each.tokens), drafts))
    return texts


class _Clock:
    """What things take: the costs, and a jitter if one is asked for."""

    def __init__(self, costs: Costs, jitter: float, seed: int) -> None:
        self._costs, self._jitter, self._chooser = costs, jitter, random.Random(seed)

    def to_read(self, running: _Running) -> int:
        """What the drafter reads before it drafts for this one."""
        return self._costs.drafter.to_read(len(running.sequence.tokens) - running.read)

    def draft(self, work: Drafting) -> float:
        """But for what is ventured."""
        return self._costs.drafter.seconds(work) * self._noise()

    @property
    def ventured(self) -> float:
        """What a collective ventures for a sequence."""
        return self._costs.drafter.ventured

    def verify(self, tokens: int, reach: int, sequences: int) -> float:
        return self._costs.target.at(tokens, reach, sequences) * self._noise()

    def _noise(self) -> float:
        return self._chooser.lognormvariate(0.0, self._jitter) if self._jitter else 1.0


class _Running:
    """A text under way."""

    def __init__(self, number: int, text: Recorded) -> None:
        self.text, self.read = text, 0
        params = SamplingParams(temperature=0, max_tokens=max(1, len(text.tokens)))
        self.sequence = Sequence(number, (0,) * max(1, text.prompt_tokens), params)

    def draft(self, length: int, min_survival: float, floor: float | None) -> Draft:
        """What was recorded here, as a drafter would have written it: see Growing.extend."""
        tokens, survival = self.text.drafts.get(self.sequence.num_output, ((), ()))
        kept = min(length, len(tokens))
        for depth, alive in enumerate(survival[:kept]):
            if floor is None and alive < min_survival:
                kept = depth
                break
            if floor is not None and alive < floor:
                kept = depth + 1
                break
        return Draft(len(self.sequence.tokens), self.sequence.prefix_id, tokens[:kept], survival[:kept], "recorded")

    def verify(self, draft: Draft) -> tuple[int, tuple[int, ...]]:
        """How much is accepted, and the tokens that are committed."""
        ahead = self.text.tokens[self.sequence.num_output :]
        accepted = 0
        while accepted < len(draft) and accepted < len(ahead) and draft.tokens[accepted] == ahead[accepted]:
            accepted += 1
        return accepted, ahead[: accepted + 1]


def replay(
    texts: list[Recorded],
    make: Callable[[Costs], Controller],
    costs: Costs,
    batch: int | Callable[[int], int] = 1,
    *,
    jitter: float = 0.0,
    seed: int = 0,
    min_survival: float = 0.0,
    observe: Callable[[list[Round]], None] | None = None,
) -> Replayed:
    """Run all texts under a controller, `batch` at a time, prompts read already.

    make: a new controller, given costs of its own that it may refresh. batch: a number, or what it is at each step, for a load that
    changes. jitter: the standard deviation of the logarithm of a factor on every time. min_survival: where the drafter ends a draft
    by itself, under a controller that does not say. observe: is told the Rounds of every step.
    """
    controller, clock = make(deepcopy(costs)), _Clock(costs, jitter, seed)
    waiting = [_Running(number, text) for number, text in enumerate(texts) if text.tokens][::-1]
    running: list[_Running] = []
    result = Replayed()
    step = 0
    while waiting or running:
        most = batch if isinstance(batch, int) else batch(step)
        while waiting and len(running) < most:
            running.append(waiting.pop())
        rounds = _step(step, running[:most], controller, clock, min_survival)
        _add(result, rounds)
        if observe is not None:
            observe(rounds)
        for each in running:
            if each.sequence.finished:
                controller.forget(each.sequence)
        running = [each for each in running if not each.sequence.finished]
        step += 1
    return result


def compare(
    texts: list[Recorded],
    costs: Costs,
    batch: int,
    lengths: Iterable[int],
    controllers: Iterable[str],
    *,
    jitter: float = 0.0,
    seed: int = 0,
    min_survival: float = 0.0,
) -> tuple[dict[int, Replayed], dict[str, Replayed]]:
    """Every fixed length, and every controller by name. Texts are run again where there are fewer than the batch holds."""
    texts = texts * -(-batch // max(1, len(texts)))
    longest = max((len(tokens) for text in texts for tokens, _ in text.drafts.values()), default=0)

    def run(make: Callable[[Costs], Controller]) -> Replayed:
        return replay(texts, make, costs, batch, jitter=jitter, seed=seed, min_survival=min_survival)

    fixed = {length: run(lambda _, length=length: FixedLength(length)) for length in lengths}  # type: ignore[misc]
    chosen = {name: run(lambda own, name=name: make_controller(name, longest, own)) for name in controllers}  # type: ignore[misc]
    return fixed, chosen


def _step(number: int, running: list[_Running], controller: Controller, clock: _Clock, min_survival: float) -> list[Round]:
    sequences = [each.sequence for each in running]
    load = Load(len(sequences), sum(len(sequence.tokens) for sequence in sequences), len(sequences))
    lengths = controller.plan(sequences, load)
    proposed = [each.draft(length, min_survival, controller.floor) for each, length in zip(running, lengths, strict=True)]
    unread = sum(clock.to_read(each) for each, draft in zip(running, proposed, strict=True) if len(draft))
    for each, draft in zip(running, proposed, strict=True):
        each.read = len(each.sequence.tokens) if len(draft) else each.read
    cuts = controller.trim(sequences, proposed, load)
    asked = sum(length > 0 for length in lengths)
    written = [len(draft) for draft in proposed]
    draft_seconds = clock.draft(Drafting(max(written, default=0), sum(written), asked, unread)) if asked else 0.0
    ventured = [clock.ventured * (length > 0) for length in lengths]
    sent = [draft.cut(cut.length) for draft, cut in zip(proposed, cuts, strict=True)]
    fed = [1 + len(draft) for draft in sent]
    reach = sum(count * len(sequence.tokens) for count, sequence in zip(fed, sequences, strict=True))
    verify_seconds = clock.verify(sum(fed), reach, len(fed))
    rounds = [_round(number, each, length, whole, draft, cut, own, sum(fed), len(running), draft_seconds + sum(ventured), verify_seconds)
              for each, length, whole, draft, cut, own in zip(running, lengths, proposed, sent, cuts, ventured, strict=True)]  # fmt: skip
    controller.observe(rounds)
    return rounds


def _round(
    number: int,
    each: _Running,
    planned: int,
    proposed: Draft,
    sent: Draft,
    cut: Cut,
    ventured: float,
    tokens: int,
    sequences: int,
    draft_seconds: float,
    verify_seconds: float,
) -> Round:
    """Verify, commit, and say so."""
    start = len(each.sequence.tokens)
    accepted, committed = each.verify(sent)
    each.sequence.commit(committed)
    if each.sequence.num_output >= len(each.text.tokens):
        each.sequence.finish_reason = "length"
    return Round(
        step=number,
        sequence_id=each.sequence.id,
        request_id=str(each.sequence.id),
        index=0,
        start=start,
        planned=planned,
        drafted=sent.tokens,
        survival=proposed.survival,
        source=proposed.source,
        members=(Contribution(proposed.source, 0.0, spent=ventured, ventured=ventured),) if ventured else (),
        accepted=min(accepted, len(committed)),
        tokens=committed,
        prefilled=0,
        finish_reason=each.sequence.finish_reason,
        step_sequences=sequences,
        step_tokens=tokens,
        step_draft_seconds=draft_seconds,
        step_verify_seconds=verify_seconds,
        step_other_seconds=0.0,
        proposed=proposed.tokens,
        gain=cut.gain,
        cost=cut.cost,
        reason=cut.reason,
    )


def _add(result: Replayed, rounds: list[Round]) -> None:
    result.seconds += rounds[0].step_draft_seconds + rounds[0].step_verify_seconds
    result.rounds += len(rounds)
    for each in rounds:
        result.tokens += len(each.tokens)
        result.lengths[len(each.drafted)] = result.lengths.get(len(each.drafted), 0) + 1
    result.steps.append((len(rounds), sum(len(each.drafted) for each in rounds) / len(rounds)))
