"""Draft lengths for real: every method answers the same prompts at the same time, a step of each in turn, over plain decoding.

    python benchmarks/live.py --prompts dev.jsonl.gz --batch 1,4,16 --json live.json \\
        --methods plain,plain,nested:smollm2:goodput,nested:smollm2:fixed-2,suffix:smollm2+nested:smollm2:goodput

Methods are named as in `covey bench`; `plain` may stand twice, which says how much two engines that do the same differ. `random` and `slow`
are drafters, too (adversaries.py). Each method has an engine of its own. The one that has given the fewest tokens makes the next step, and
what it took is put down to it: so a slow moment of the machine, which lasts longer than a step, is slow for all alike, and ratios are
many times as steady as those of runs one after the other.

A cell is a group of tasks and a batch size; its pairs are groups of `batch` prompts, whose tasks take turns, after one group that is not
counted. `over_best` says what somebody could have set: the fixed length, 0 included, that is best on one half of the prompts, scored on the
other half, both ways. `speeds` are tokens a second: its own, the worst fixed length's of several, the best's (0 included).
`controller_share` is what of a method's time its controller takes for itself. `work` says where time and tokens are: tokens of a pass
of one text, drafted tokens sent with it, and the seconds of drafting over those of passes. With `--state` collectives begin with what
others have learned, as in a server that has run for a while.

Groups are written as they are done; begun again with the same settings the script goes on where it was, and with more `--groups` a
cell that was done goes on to so many.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adversaries import ADVERSARIES
from cells import begun
from lengths import GROUPS
from rich.progress import track

from covey import LLM, SamplingParams, provenance
from covey.bench.names import MethodName, parse_method
from covey.bench.pairs import paired_ratio
from covey.engine.generation import Event
from covey.llm.request import Request
from covey.prompts import file_digest, read_prompts
from covey.types import Round

LOCAL = ("prompts", "json", "batch", "tasks", "groups", "state")  # settings that a file may be gone on with without


class Work(defaultdict[str, float]):
    """What the rounds of a method come to, but for those that read a prompt."""

    def __init__(self) -> None:
        super().__init__(float)

    def add(self, happened: Round) -> None:
        if happened.tokens and not happened.prefilled:
            self["passes"] += 1
            self["tokens"] += len(happened.tokens)
            self["sent"] += happened.sent
            self["drafting"] += happened.step_draft_seconds / happened.step_sequences
            self["verifying"] += happened.step_verify_seconds / happened.step_sequences


class Method:
    """One method with its engine, and what it has come to with the prompts that it is at."""

    def __init__(self, name: MethodName, label: str, llm: LLM) -> None:
        self.name, self.label, self.llm = name, label, llm
        self.requests: list[Request] = []
        self.seconds, self.controlling, self.given = 0.0, 0.0, 0
        self.work = Work()
        llm.observe(self.work.add)
        controller = llm.served().engine.controller
        for part in ("plan", "trim", "observe"):
            setattr(controller, part, self._timed(getattr(controller, part)))

    def begin(self, prompts: list[list[int]], params: list[SamplingParams]) -> None:
        self.seconds, self.controlling, self.given = 0.0, 0.0, 0
        self.work.clear()
        asked = zip(prompts, params, strict=True)
        self.requests = [self.llm._request(list(prompt), each, self._hear, model=None, scope="") for prompt, each in asked]
        self.llm._add(self.requests)

    def step(self) -> None:
        began = time.perf_counter()
        self.llm.served().engine.step()
        self.seconds += time.perf_counter() - began

    @property
    def finished(self) -> bool:
        return all(request.finished for request in self.requests)

    @property
    def texts(self) -> list[list[int]]:
        return [request.completions()[0].token_ids for request in self.requests]

    def _hear(self, event: Event) -> None:
        self.given += len(event.token_ids)

    def _timed(self, part: Callable[..., Any]) -> Callable[..., Any]:
        """A part of the controller, whose time is put down to it."""

        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return part(*arguments)
            finally:
                self.controlling += time.perf_counter() - began

        return timed


def made(given: argparse.Namespace, batch: int, stack: ExitStack) -> list[Method]:
    """The methods, plain first. A name that stands twice is a method twice."""
    methods: list[Method] = []
    for label in given.methods.split(","):
        name = parse_method(label)
        drafters: list[Any] = [ADVERSARIES.get(each, lambda each=each: each)() for each in (name.drafter or "").split("+") if each]
        options = {"controller": name.controller, "num_speculative_tokens": name.length} if drafters else {}
        options |= {
            "max_num_seqs": batch,
            "max_model_len": given.longest + given.max_tokens,
            "prefix_reuse": False,
            "compile": given.compile,
        }
        again = sum(method.name == name for method in methods)
        if given.without_branches and again:
            options["branches"] = "off"
        if len(drafters) > 1 and given.state is not None:
            options["collective_state"] = shutil.copy(given.state, Path(stack.enter_context(TemporaryDirectory())) / "state.json")
        llm = stack.enter_context(LLM(given.target, drafters=drafters, **options))
        methods.append(Method(name, f"{label} again" if again else label, llm))
    return methods


def grouped(given: argparse.Namespace, llm: LLM, tasks: list[str], batch: int) -> list[list[list[int]]]:
    """Prompts of these tasks in turn, so many at a time, and in other company once all have been; the first group is for warming up, and
    comes again at the end."""
    every = [(p.task, llm.tokenizer.apply_chat([dict(m) for m in p.messages])) for p in read_prompts(given.prompts, tuple(tasks))]
    by_task = [[ids for task, ids in every if task == wanted and len(ids) <= given.longest] for wanted in tasks]
    if sum(map(len, by_task)) < batch:
        raise SystemExit(
            f"--batch {batch}: only {sum(map(len, by_task))} prompts of {', '.join(tasks)} have at most {given.longest} tokens"
        )
    groups: list[list[list[int]]] = []
    chooser = random.Random(0)
    while len(groups) < given.groups:
        mixed = [ids for turn in itertools.zip_longest(*by_task) for ids in turn if ids is not None]
        groups += [mixed[at : at + batch] for at in range(0, len(mixed) - batch + 1, batch)]
        for prompts in by_task:
            chooser.shuffle(prompts)
    groups = groups[: given.groups]
    return [groups[-1], *groups]


def wanted(given: argparse.Namespace, count: int) -> list[SamplingParams]:
    """Answers of half to one and a half times `--max-tokens`: where all end at once, whoever brings some on faster than others has the
    others alone in the end, and plain decoding never."""
    lengths = [given.max_tokens * (4 + 7 * number % 9) // 8 for number in range(count)]
    return [SamplingParams(max_tokens=max(1, length), temperature=given.temperature, seed=0) for length in lengths]


def answered(methods: list[Method], prompts: list[list[int]], params: list[SamplingParams], first: int) -> dict[str, Any]:
    """One group by all methods. first: whose turn it is where all have come equally far."""
    turns = methods[first % len(methods) :] + methods[: first % len(methods)]
    for method in turns:
        method.begin(prompts, params)
    while going := [method for method in turns if not method.finished]:
        min(going, key=lambda method: (method.given, method.seconds)).step()
    plain = methods[0].texts
    return {
        "seconds": {method.label: method.seconds for method in methods},
        "controlling": {method.label: method.controlling for method in methods},
        "work": {method.label: dict(method.work) for method in methods},
        "tokens": {method.label: method.given for method in methods},
        "differing": {method.label: sum(a != b for a, b in zip(method.texts, plain, strict=True)) for method in methods[1:]},
    }


def measure(given: argparse.Namespace, cell: dict[str, Any], write: Callable[[], None]) -> None:
    """All groups of prompts of a cell that it does not hold yet, and what they come to."""
    with ExitStack() as stack:
        methods = made(given, cell["batch"], stack)
        params = wanted(given, cell["batch"])
        warming, *groups = grouped(given, methods[0].llm, cell["tasks"], cell["batch"])
        answered(methods, warming, params, 0)
        for number in track(range(len(cell["groups"]), len(groups)), f"{', '.join(cell['tasks'])}, batch {cell['batch']}"):
            cell["groups"].append(answered(methods, groups[number], params, number))
            write()
    cell["over_plain"] = {method.label: over(cell["groups"], method.label, methods[0].label) for method in methods[1:]}
    cell["controller_share"] = {m.label: controlled(cell["groups"], m.label) for m in methods if m.name.drafter}
    cell["work"] = {m.label: worked(cell["groups"], m.label) for m in methods if m.name.drafter}
    cell["lengths"] = {m.label: chosen(cell["groups"], m, methods) for m in methods if m.name.drafter and m.name.controller != "fixed"}


def speed(groups: list[dict[str, Any]], label: str) -> float:
    return sum(group["tokens"][label] for group in groups) / sum(group["seconds"][label] for group in groups)


def controlled(groups: list[dict[str, Any]], label: str) -> float:
    return sum(group["controlling"][label] for group in groups) / sum(group["seconds"][label] for group in groups)


def worked(groups: list[dict[str, Any]], label: str) -> dict[str, float]:
    done = Work()
    for group in groups:
        for name, value in group.get("work", {}).get(label, {}).items():  # which groups of older files do not have
            done[name] += value
    if not done["passes"]:
        return {}
    per_pass = {name: done[name] / done["passes"] for name in ("tokens", "sent")}
    return per_pass | {"drafting": done["drafting"] / done["verifying"]}


def over(groups: list[dict[str, Any]], label: str, other: str) -> dict[str, Any]:
    return paired_ratio([[speed([group], label) / speed([group], other)] for group in groups]) or {}


def chosen(groups: list[dict[str, Any]], method: Method, methods: list[Method]) -> dict[str, Any]:
    """A controller against the fixed lengths of its drafter; see the module."""
    plain = methods[0].label
    fixed = [m.label for m in methods if m.name.drafter == method.name.drafter and m.name.controller == "fixed"]
    if not fixed or len(groups) < 2:
        return {}
    halves = groups[::2], groups[1::2]
    best = [max([plain, *fixed], key=lambda label, half=half: speed(half, label)) for half in halves]
    scored = [over([group], method.label, label)["median"] for half, label in zip(halves, reversed(best), strict=True) for group in half]
    lengths = [speed(groups, label) for label in fixed]
    return {
        "best_of_halves": best,
        "over_best": paired_ratio([[ratio] for ratio in scored]),
        "speeds": [speed(groups, method.label), min(lengths), max(speed(groups, plain), *lengths)] if len(fixed) > 1 else None,
    }


def told(ratio: dict[str, Any]) -> str:
    """A median, with its interval where there are pairs enough for one."""
    interval = "" if ratio["low"] is None else f" [{ratio['low']:.3f}, {ratio['high']:.3f}]"
    return f"{ratio['median']:.3f}{interval}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--methods", required=True, help="separated by commas, plain first")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--batch", default="1,4,16")
    parser.add_argument("--tasks", default=";".join(",".join(tasks) for tasks in GROUPS.values()), help="groups of tasks, separated by ;")
    parser.add_argument("--groups", type=int, default=24, help="groups of prompts in a cell")
    parser.add_argument("--longest", type=int, default=960, help="tokens of a prompt; longer ones are left out")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--without-branches", action="store_true", help="a method that stands twice has no branches the second time")
    parser.add_argument(
        "--state", type=Path, help="what collectives have learned before: a file of --collective-state, which stays as it is"
    )
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    if parse_method(given.methods.split(",")[0]).kind != "plain":
        parser.error(f"--methods {given.methods}: the first must be plain")
    return given


def main() -> None:
    given = arguments()
    settings = {k: v for k, v in vars(given).items() if k not in LOCAL} | {"prompts_sha256": file_digest(given.prompts)}
    settings |= {"state": json.loads(given.state.read_text("utf-8"))} if given.state else {}
    cells = begun(given, settings)

    def write() -> None:
        partial = given.json.with_suffix(".partial")
        partial.write_text(json.dumps({**provenance.about(), "settings": settings, "cells": cells}, indent=1) + "\n", "utf-8")
        partial.replace(given.json)

    for batch, tasks in itertools.product(map(int, given.batch.split(",")), given.tasks.split(";")):
        asked = {"batch": batch, "tasks": tasks.split(",")}
        cell = next((cell for cell in cells if asked.items() <= cell.items()), None)
        if cell is None:
            cells.append(cell := {**asked, "groups": []})
        if len(cell["groups"]) < given.groups or "over_plain" not in cell:
            measure(given, cell, write)
            gc.collect()
            write()
        ratios = {label: told(ratio) for label, ratio in cell["over_plain"].items()}
        print(json.dumps({**asked, "groups": len(cell["groups"]), **ratios}), flush=True)


if __name__ == "__main__":
    main()
