"""Calibrates a nested draft for one target on this machine: observe, fit, measure, search, try, write.

calibrate(CalibrateSettings(draft=Path("draft"), prompts=Path("dev.jsonl"), target="smollm2"))
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any

from covey import provenance
from covey.calibrate.estimates import estimates, fit
from covey.calibrate.observations import Observations, WatchedDrafter, observe
from covey.calibrate.picture import draw
from covey.calibrate.runs import Bench, measure_costs
from covey.calibrate.search import Costs, Plan, Prediction, Replay, contenders, search
from covey.config import EngineConfig
from covey.drafters.expected import expect
from covey.errors import CoveyError
from covey.llm import LLM
from covey.model.nested import Calibration, add_calibration
from covey.prompts import TaskPrompt, file_digest, read_prompts
from covey.sampling_params import SamplingParams
from covey.survival import calibration_error, reliability
from covey.types import Prompt

PROFILE = "profile.json"
_OBSERVED_TOGETHER = 8  # prompts answered at a time where no time is measured


@dataclass(frozen=True)
class CalibrateSettings:
    """What is calibrated with what.

    draft: the folder of a nested draft; what is found for the target is written into its configuration. output: a folder for
    profile, picture and observations; None is one in the draft's. limit: most prompts of a task. temperatures: the prompts
    are answered at each of them. batch: requests served together. longest: the longest draft that is considered. tried: how
    many plans beside the fixed exits get real runs, `repetitions` each. engine: how the target runs, but for what
    calibration itself varies.
    """

    draft: Path
    prompts: Path
    target: str
    output: Path | None = None
    tasks: tuple[str, ...] | None = None
    limit: int | None = 6
    max_tokens: int = 64
    temperatures: tuple[float, ...] = (0.0, 0.7)
    seed: int = 0
    batch: int = 1
    longest: int = 6
    tried: int = 3
    repetitions: int = 3
    engine: EngineConfig = EngineConfig()

    def __post_init__(self) -> None:
        for name in ("batch", "longest", "tried", "repetitions", "max_tokens"):
            if getattr(self, name) < 1:
                raise CoveyError(f"{name}={getattr(self, name)}: {name} must be at least 1")
        if self.limit is not None and self.limit < 2:
            raise CoveyError(f"limit={self.limit}: limit must be at least 2: one half of a task's prompts is searched on, the other tried")
        if not self.temperatures:
            raise CoveyError("temperatures is empty: give at least one, such as 0")

    @property
    def folder(self) -> Path:
        return self.output or self.draft / f"calibration-{Path(self.target).name}"


@dataclass(frozen=True)
class Tried:
    """A plan in real runs: tokens/s of each repetition, as a ratio to plain decoding's in the same one."""

    prediction: Prediction
    tokens_per_second: list[float]
    over_plain: list[float]


def calibrate(settings: CalibrateSettings, report: Callable[[str, float | None], None] = lambda step, share: None) -> dict[str, Any]:
    """Find thresholds, longest draft and confidence for a target; write them into the draft, and the profile beside it.

    Of the prompts of each task every other one is searched on; real runs and the error of the estimates are of the others.
    A fixed exit, or no drafting at all, is what is written where that is fastest. Returns the profile.
    """
    options = {**settings.engine.to_options(), "num_speculative_tokens": settings.longest, "controller": "fixed", "branches": "off"}
    options |= {"max_num_seqs": max(settings.batch, _OBSERVED_TOGETHER), "prefix_reuse": False}  # every run reads its prompts
    drafter = WatchedDrafter(settings.draft, dtype=settings.engine.dtype, device=settings.engine.device)
    with LLM(settings.target, drafters=[drafter], **options) as llm:
        asked, params, searched = _requests(settings, llm)
        seen = _observations(settings, llm, drafter, asked, params, report)
        weights = fit(seen.of_texts(searched))
        tried_on = [number for number in range(len(asked)) if number not in set(searched)]
        bench = Bench(llm, drafter, [asked[n] for n in tried_on], [params[n] for n in tried_on], settings.batch)
        bench.weights = weights
        costs = measure_costs(bench, settings.longest, lambda share: report("measuring costs", share))
        part = seen.of_texts(searched)
        report("searching", None)
        found = search(Replay(estimates(part, weights), part.right, part.text), costs, settings.longest)
        candidates = contenders(found, len(drafter.config.exits), settings.tried)
        tried = _try(bench, candidates, settings.repetitions, report)
        target, exits = llm.target.name, drafter.config.exits
    chosen = max(tried, key=lambda each: median(each.over_plain))
    plan = chosen.prediction.plan
    add_calibration(settings.draft, target, Calibration(plan.thresholds, plan.num_tokens, weights))
    if chosen.prediction.acceptance > 0:
        expect(settings.draft, target, chosen.prediction.acceptance, provenance.command())
    profile = _profile(settings, target, exits, seen.of_texts(tried_on), weights, costs, found, tried, plan)
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / PROFILE).write_text(json.dumps(profile, indent=1) + "\n", "utf-8")
    draw(profile, settings.folder / "profile.png")
    return profile


def _requests(settings: CalibrateSettings, llm: LLM) -> tuple[list[Prompt], list[SamplingParams], list[int]]:
    """The prompts at every temperature, tasks in turn; their parameters; and the numbers of those that are searched on."""
    fitting: list[tuple[TaskPrompt, list[int]]] = []
    for prompt in read_prompts(settings.prompts, settings.tasks):
        ids = llm.tokenizer.apply_chat([dict(message) for message in prompt.messages])
        if len(ids) + settings.max_tokens <= llm.max_model_len:
            fitting.append((prompt, ids))
    by_task = [[each for each in fitting if each[0].task == task][: settings.limit] for task in dict.fromkeys(p.task for p, _ in fitting)]
    turns = list(zip_longest(*by_task))  # turn -> a prompt of each task
    if len(turns) < 2:
        raise CoveyError(f"prompts={str(settings.prompts)!r}: no task has two prompts that fit; give more, or lower max_tokens")
    asked: list[Prompt] = []
    params: list[SamplingParams] = []
    searched: list[int] = []
    for number, turn in enumerate(turns):
        for temperature in settings.temperatures:
            for each in turn:
                if each is not None:
                    searched += [len(asked)] if number % 2 == 0 else []
                    asked.append(each[1])
                    params.append(SamplingParams(max_tokens=settings.max_tokens, temperature=temperature, seed=settings.seed))
    return asked, params, searched


def _observations(
    settings: CalibrateSettings,
    llm: LLM,
    drafter: WatchedDrafter,
    asked: list[Prompt],
    params: list[SamplingParams],
    report: Callable[[str, float | None], None],
) -> Observations:
    """What was observed before with the same settings, or what is observed now."""
    weights = settings.draft / "model.safetensors"
    described = {
        name: json.dumps(value)
        for name, value in {
            "target": settings.target,
            "dtype": llm.target.dtype,
            "draft_sha256": file_digest(weights),
            "prompts_sha256": file_digest(settings.prompts),
            "requests": [[len(prompt), each.temperature, each.max_tokens, each.seed] for prompt, each in zip(asked, params, strict=True)],
        }.items()
    }
    place = settings.folder / "observations.safetensors"
    held = Observations.load(place, described)
    if held is None:
        parts = []
        for start in range(0, len(asked), _OBSERVED_TOGETHER):
            stop = start + _OBSERVED_TOGETHER
            parts.append(observe(llm, drafter, asked[start:stop], params[start:stop], start))
            report("observing", min(1.0, stop / len(asked)))
        held = Observations.joined(parts)
        settings.folder.mkdir(parents=True, exist_ok=True)
        held.save(place, described)
    return held


def _try(bench: Bench, candidates: list[Prediction], repetitions: int, report: Callable[[str, float | None], None]) -> list[Tried]:
    """Real runs of all candidates, interleaved; the first one is plain decoding. The first repetition warms up."""
    tried = [Tried(each, [], []) for each in candidates]
    for repetition in range(repetitions + 1):
        speeds = []
        for number, each in enumerate(candidates):
            speeds.append(bench.run(each.plan, 2 if repetition == 0 else None).tokens_per_second)
            report("trying the best", (repetition * len(candidates) + number + 1) / ((repetitions + 1) * len(candidates)))
        if repetition:
            for entry, speed in zip(tried, speeds, strict=True):
                entry.tokens_per_second.append(speed)
                entry.over_plain.append(speed / speeds[0])
    return tried


def _profile(
    settings: CalibrateSettings,
    target: str,
    exits: tuple[int, ...],
    others: Observations,
    weights: tuple[tuple[float, ...], ...],
    costs: Costs,
    found: list[Prediction],
    tried: list[Tried],
    chosen: Plan,
) -> dict[str, Any]:
    estimated = estimates(others, weights)
    replay = Replay(estimated, others.right, others.text)
    return {
        "made": provenance.now(),
        "command": provenance.command(),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "load_average": provenance.load_average(),
        "target": target,
        "draft": settings.draft.name,
        "exits": list(exits),
        "settings": {
            **{
                name: getattr(settings, name)
                for name in ("tasks", "limit", "max_tokens", "temperatures", "seed", "batch", "longest", "repetitions")
            },
            "prompts_sha256": file_digest(settings.prompts),
            "engine": json.loads(json.dumps(settings.engine.to_options(), default=str)),
        },
        "costs": asdict(costs),
        "chosen": asdict(chosen),
        "confidence": weights,
        "exits_on_others": [
            {
                "exit": exit_,
                "agreement": float(others.right[:, number].mean()),
                "calibration_error": calibration_error(estimated[:, number], others.right[:, number]),
                "reliability": reliability(estimated[:, number], others.right[:, number]),
            }
            for number, exit_ in enumerate(exits)
        ],
        "curve": [asdict(replay.predict(plan, costs)) for plan in _along_a_line(chosen, len(exits), found)],
        "plans_searched": len(found),
        "tried": [{**asdict(each), "median_over_plain": median(each.over_plain)} for each in tried],
    }


def _along_a_line(chosen: Plan, exits: int, found: list[Prediction]) -> list[Plan]:
    """The chosen plan (of plain decoding: the best that drafts) with every first threshold from 0 to 1; of one exit, every length."""
    plan = chosen if chosen.num_tokens else next(each.plan for each in found if each.plan.num_tokens)
    if exits == 1:
        return sorted((each.plan for each in found), key=lambda each: each.num_tokens)
    behind = plan.thresholds[1:]
    return [Plan((step / 20, *behind), plan.num_tokens) for step in range(21)]
