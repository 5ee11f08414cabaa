"""Examines a machine, a target and its drafters without loading weights: the facts behind `covey doctor`.

Knows what fits and why not; knows nothing of how it is shown.

    examine(settings)["problems"]
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch

from covey import provenance
from covey.cli import startup
from covey.cli.outline import Outline, outline
from covey.config import EngineConfig, Settings
from covey.drafters import drafter_names, good_drafters, make_drafter
from covey.engine.memory import free_memory, plan_memory
from covey.errors import CoveyError, OutOfMemoryError
from covey.types import Host

_GIB = 1 << 30
_INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


class _Size(NamedTuple):
    """Bytes of the weights, and of one position's cache."""

    weight_bytes: int
    bytes_per_token: int


def examine(settings: Settings) -> dict[str, Any]:
    """The whole report, as JSON holds it. problems lists whatever keeps this from running."""
    target = _examine_target(settings)
    model: Outline | None = target.pop("outline", None)
    drafters, sizes = _examine_drafters(settings, model)
    memory = _plan(settings.engine, model, sizes) if model is not None else {"fits": False, "why": "the target does not load"}
    problems: list[str] = [f"{held['name']}: {held['why']}" for held in (target, *drafters) if not held["fits"]]
    if model is not None and not memory["fits"]:
        problems.append(str(memory["why"]))
    return {
        "versions": provenance.versions(),
        "machine": _examine_machine(),
        "settings": {name: {"value": _value(settings, name), "from": origin} for name, origin in settings.sources.items()},
        "target": target,
        "drafters": drafters,
        "memory": memory,
        "problems": problems,
    }


def _value(settings: Settings, name: str) -> Any:
    value = {**vars(settings), **vars(settings.sampling), **vars(settings.server), **settings.engine.to_options()}[name]
    return str(value) if isinstance(value, Path) else value


def _examine_machine() -> dict[str, Any]:
    return {
        **provenance.machine(),
        "free_gib": round(free_memory("cpu") / _GIB, 1),
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in _cpu_flags()],
        "torch_threads": torch.get_num_threads(),
        "compiler": shutil.which("g++") or shutil.which("clang++"),
    }


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    flags = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return set(next(flags, []))


def _examine_target(settings: Settings) -> dict[str, Any]:
    try:
        startup.prepare(dataclasses.replace(settings, drafters=None))
        model = outline(settings.target, settings.engine.dtype, settings.engine.device)
    except CoveyError as error:
        return {"name": settings.target, "fits": False, "why": str(error)}
    return {"name": settings.target, "fits": True, "model": model.to_dict(), "outline": model}


def _examine_drafters(settings: Settings, target: Outline | None) -> tuple[list[dict[str, Any]], dict[str, _Size]]:
    """What to say of each drafter, and what those take that would run. Without names, all that are installed are examined."""
    good = good_drafters(settings.target)
    known = list(dict.fromkeys([*good, *(name for name in drafter_names() if not name.endswith((":NAME", ":CORPUS", ":FOLDER")))]))
    reports: list[dict[str, Any]] = []
    sizes: dict[str, _Size] = {}
    for name in known if settings.drafters is None else settings.drafters:
        try:
            if target is None:
                raise CoveyError("cannot be judged, for the target does not load")
            size = (
                _fitting_model(name.removeprefix("model:"), settings, target)
                if name.startswith("model:")
                else _bind(name, settings, target)
            )
            if settings.drafters is not None or name in good:
                sizes[name] = size
            reports.append({"name": name, "fits": True})
        except CoveyError as error:
            reports.append({"name": name, "fits": False, "why": str(error)})
    return reports, sizes


def _fitting_model(name: str, settings: Settings, target: Outline) -> _Size:
    """What a draft model takes. Raises CoveyError when the tokenizers differ, saying where."""
    if name == "toy":
        raise CoveyError("the toy has no weights to draft with; name a model")
    startup.prepare(dataclasses.replace(settings, target=name, drafters=None))
    model = outline(name, settings.engine.dtype, settings.engine.device)
    if differences := model.tokenizer.differences(target.tokenizer):
        raise CoveyError(f"another tokenizer than the target's: {'; '.join(differences)}")
    return _Size(model.parameter_bytes, model.bytes_per_token)


def _bind(name: str, settings: Settings, target: Outline) -> _Size:
    """Let any other drafter look at the target, as it does when an engine starts; returns what it takes."""
    config, length = settings.engine, settings.engine.max_model_len or target.max_model_len
    host = Host(target.tokenizer, target.vocab_size, length, config.max_num_seqs, length * config.max_num_seqs, target.device, target.dtype)
    drafter = make_drafter(name, dtype=config.dtype, device=config.device)
    try:
        drafter.bind(host)
        return _Size(getattr(drafter, "parameter_bytes", 0), drafter.bytes_per_token)
    finally:
        drafter.close()


def _plan(config: EngineConfig, target: Outline, drafters: dict[str, _Size]) -> dict[str, Any]:
    """The memory plan that the engine would make, once the weights are there."""
    longest = target.max_model_len if config.max_model_len is None else config.max_model_len
    if longest > target.max_model_len:
        return {
            "fits": False,
            "why": f"max_model_len={longest}: {target.name} handles {target.max_model_len} positions; set it to at most that",
        }
    sizes = {target.name: _Size(target.parameter_bytes, target.bytes_per_token), **drafters}
    weights = {name: size.weight_bytes for name, size in sizes.items()}
    free = free_memory(target.device)
    try:
        if free <= sum(weights.values()):
            raise OutOfMemoryError(
                f"the weights take {sum(weights.values()) / _GIB:.2f} GiB and {free / _GIB:.2f} GiB are free: use smaller models"
            )
        if config.cache_memory is None:  # the engine plans with what the weights leave
            config = dataclasses.replace(config, cache_memory=(free - sum(weights.values())) / 2 / _GIB)
        plan = plan_memory(config, longest, target.device, weights, {name: size.bytes_per_token for name, size in sizes.items()})
    except CoveyError as error:
        return {"fits": False, "why": str(error)}
    return {
        "fits": True,
        "plan": str(plan),
        "max_tokens": plan.max_tokens,
        "cache_bytes": plan.cache_bytes,
        "weight_bytes": sum(weights.values()),
    }
