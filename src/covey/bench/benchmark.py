"""One benchmark run from settings to the result document: prompts, methods, measuring, summary, files.

The one place that knows all the parts of a benchmark; has no opinion on figures and none on how they are shown.

    document = run(BenchSettings(prompts="dev.jsonl.gz", limit=8, json="out.json"))
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from covey import provenance
from covey.bench.journal import Journal, journal_path
from covey.bench.measure import Measuring
from covey.bench.measurement import Measurement
from covey.bench.methods import Engines, Method
from covey.bench.peers import Peers
from covey.bench.progress import BenchProgress
from covey.bench.report import draw, to_markdown
from covey.bench.selection import Group, Selection, make_groups, select
from covey.bench.settings import BenchSettings
from covey.bench.summary import median_prompt_tokens, plain_across_batches, summarise
from covey.errors import CoveyError
from covey.prompts import file_digest, read_prompts

FORMAT = 1
# Settings that do not change what is measured.
_FILES = ("json", "markdown")


def run(settings: BenchSettings, progress: bool | None = None) -> dict[str, Any]:
    """Measure, write the files that the settings name, and return the result document (plain JSON values).

    progress: a bar, and at the end the tables, on stderr; None shows the bar on a terminal and the tables always.
    A run that was cut short goes on where it was when it is started again with the same settings; measurements with
    other settings, versions, machine or commit are refused. Raises CoveyError.
    """
    began, started = provenance.now(), time.perf_counter()
    load_before = provenance.load_average()
    prompts = read_prompts(settings.prompts, settings.tasks)
    _prepare(settings)
    with ExitStack() as stack:
        engines = stack.enter_context(Engines(settings))
        llm = engines.first
        selection = select(prompts, llm.tokenizer.apply_chat, llm.max_model_len - settings.max_tokens, settings.limit)
        groups = {batch: make_groups(selection.prompts, batch) for batch in settings.batch}
        methods = _methods(settings, engines, selection, stack)
        conditions = _conditions(settings, methods)
        journal = Journal(journal_path(settings.json) if settings.json else None, conditions)
        measuring = Measuring(methods, groups, settings.repetitions, settings.warmup, journal)
        with BenchProgress(measuring.total, sys.stderr.isatty() if progress is None else progress) as bar:
            measurements = measuring.run(bar)
        document = {
            "benchmark": "covey bench",
            "format": FORMAT,
            "command": provenance.command(),
            "began": began,
            "seconds": round(time.perf_counter() - started, 1),
            "load_average": {"before": load_before, "after": provenance.load_average()},
            **conditions,
            "dtype": llm.target.dtype,
            "device": llm.target.device,
            "torch_threads": torch.get_num_threads(),
            "warmup_seconds": {name: round(seconds, 2) for name, seconds in measuring.warmup_seconds.items()},
            "prompts": _prompt_facts(settings, selection, groups, measurements),
        }
    document |= _results(settings, measurements)
    _write(settings, document)
    journal.remove()
    if progress is not False:
        draw(document, Console(stderr=True))
    return document


def _prepare(settings: BenchSettings) -> None:
    """Find out before hours of measuring whether the results can be written."""
    for name in _FILES:
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CoveyError(f"{name}={str(path)!r}: its folder cannot be made ({error.strerror})") from None
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise CoveyError(f"{name}={str(path)!r}: cannot be written; give the path of a file in a folder of yours")


def _methods(settings: BenchSettings, engines: Engines, selection: Selection, stack: ExitStack) -> list[Method]:
    context = max(len(prompt.ids) for prompt in selection.prompts) + settings.max_tokens
    peers = Peers(settings, engines.first.target, context)
    return [stack.enter_context(closing((peers if name.is_peer else engines).method(name))) for name in settings.method_names]


def _conditions(settings: BenchSettings, methods: list[Method]) -> dict[str, Any]:
    """All that must be equal for two measurements to stand in one result."""
    return {
        "settings": {name: value for name, value in settings.to_dict().items() if name not in _FILES},
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
        "prompts_sha256": file_digest(settings.prompts),
        "methods": {method.name: method.details for method in methods},
    }


def _prompt_facts(
    settings: BenchSettings, selection: Selection, groups: dict[int, list[Group]], measurements: list[Measurement]
) -> dict[str, Any]:
    tasks = list(dict.fromkeys(prompt.task for prompt in selection.prompts))
    return {
        "file": str(settings.prompts),
        "by_task": {task: sum(prompt.task == task for prompt in selection.prompts) for task in tasks},
        "median_tokens_by_task": median_prompt_tokens(measurements),
        "left_out": [{"id": name, "tokens": tokens} for name, tokens in selection.left_out],
        "not_in_a_full_group": {str(batch): len(selection.prompts) - batch * len(made) for batch, made in groups.items()},
    }


def _results(settings: BenchSettings, measurements: list[Measurement]) -> dict[str, Any]:
    # With a temperature another system draws other samples: only covey's own methods share their noise.
    same_text = {name.name for name in settings.method_names if settings.temperature == 0 or not name.is_peer}
    return {
        "summary": summarise(measurements, same_text),
        "plain_across_batches": plain_across_batches(measurements),
        "measurements": [measurement.to_record() for measurement in measurements],
    }


def _write(settings: BenchSettings, document: dict[str, Any]) -> None:
    if settings.json is not None:
        _replace(settings.json, _json_lines(document))
    if settings.markdown is not None:
        _replace(settings.markdown, to_markdown(document))


def _json_lines(document: dict[str, Any]) -> str:
    """JSON with a line for each entry, and for each element of a list: readable, and small in a diff."""
    entries = []
    for name, value in document.items():
        lines = ",\n  ".join(map(json.dumps, value)) if isinstance(value, list) else ""
        text = f"[\n  {lines}\n ]" if lines else json.dumps(value)
        entries.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _replace(path: Path, text: str) -> None:
    """All of the file or none of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
