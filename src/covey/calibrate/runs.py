"""Real runs of a plan on this machine, and the costs that they show.

Knows nothing of how plans are found.

    costs = measure_costs(bench, longest=8); bench.run(plan).tokens_per_second
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import numpy

from covey.calibrate.observations import WatchedDrafter
from covey.calibrate.search import Costs, Plan, fixed_exit
from covey.control import FixedLength
from covey.llm import LLM
from covey.model.nested import Calibration
from covey.sampling_params import SamplingParams
from covey.types import Prompt, Round


@dataclass(frozen=True)
class Run:
    """One plan on some prompts."""

    tokens: int
    seconds: float
    rounds: list[Round]

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


class Bench:
    """A target with a nested draft, and prompts to run them on, `batch` at a time."""

    def __init__(self, llm: LLM, drafter: WatchedDrafter, prompts: list[Prompt], params: list[SamplingParams], batch: int) -> None:
        self.llm, self.drafter, self.batch = llm, drafter, batch
        self.prompts, self.params = prompts, params
        self.weights: tuple[tuple[float, ...], ...] = self._calibration.confidence

    @property
    def _calibration(self) -> Calibration:
        return self.drafter.calibrations[self.llm.served().name]

    def run(self, plan: Plan, prompts: int | None = None, to_the_end: bool = False) -> Run:
        """The first `prompts` prompts, or all, with this plan. to_the_end: past end tokens, up to max_tokens."""
        served = self.llm.served()
        self.drafter.calibrate(served.name, Calibration(plan.thresholds, plan.num_tokens, self.weights))
        served.engine.controller = FixedLength(plan.num_tokens)
        rounds: list[Round] = []
        end = self.llm.observe(rounds.append)
        count = len(self.prompts) if prompts is None else min(prompts, len(self.prompts))
        began = time.perf_counter()
        try:
            tokens = sum(self._group(start, min(start + self.batch, count), to_the_end) for start in range(0, count, self.batch))
        finally:
            end()
        return Run(tokens, time.perf_counter() - began, rounds)

    def _group(self, start: int, stop: int, to_the_end: bool) -> int:
        params = [replace(each, ignore_eos=to_the_end or each.ignore_eos) for each in self.params[start:stop]]
        done = self.llm.generate(self.prompts[start:stop], params, progress=False)
        return sum(len(completion.token_ids) for completion in done)


def measure_costs(bench: Bench, longest: int, report: Callable[[float], None]) -> Costs:
    """What verifying and drafting cost, from the steps of short runs at fixed lengths and exits: medians, in seconds."""
    exits = len(bench.drafter.config.exits)
    first = fixed_exit(0, exits)
    lengths = sorted({0, 1, 2, 4, longest} & set(range(longest + 1)))
    plans = [Plan(first, k) for k in lengths] + [Plan(fixed_exit(e, exits), k) for e in range(1, exits) for k in (1, min(4, longest))]
    verify: dict[int, list[float]] = defaultdict(list)
    draft: dict[tuple[int, int], list[float]] = defaultdict(list)
    bench.run(Plan(fixed_exit(exits - 1, exits), longest), 2, to_the_end=True)  # what is done once is not measured
    for number, plan in enumerate(plans):
        for step in _decoding_steps(bench.run(plan, max(2, 2 * bench.batch), to_the_end=True).rounds):
            drafted = {len(each.drafted) for each in step}
            if drafted == {plan.num_tokens}:
                verify[plan.num_tokens].append(step[0].step_verify_seconds + step[0].step_other_seconds)
                draft[sum(t == 1 for t in plan.thresholds), plan.num_tokens].append(step[0].step_draft_seconds)
        report((number + 1) / len(plans))
    known = sorted(verify)
    passes = numpy.interp(range(longest + 1), known, [median(verify[k]) for k in known])
    token, begin = [], []
    for e in range(exits):
        one, most = median(draft[e, 1]), min(4, longest)
        each = max(0.0, (median(draft[e, most]) - one) / (most - 1)) if most > 1 else one
        token.append(each)
        begin.append(max(0.0, one - each))
    return Costs(tuple(float(s) for s in passes), median(begin), tuple(token))


def _decoding_steps(rounds: list[Round]) -> list[list[Round]]:
    """Steps that read no prompt and end nothing early: the rounds of each."""
    steps: dict[int, list[Round]] = defaultdict(list)
    for happened in rounds:
        steps[happened.step].append(happened)
    return [step for step in steps.values() if not any(each.prefilled for each in step)]
