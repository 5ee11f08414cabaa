"""Other systems on the same prompts: transformers' `generate`, and llama.cpp.

transformers loads the same weights in the same number format, on the same device. llama.cpp runs the GGUF file of the
model, quantised as that file is. Knows nothing of covey's engine.

    make_peer(parse_method("transformers-lookup"), settings, target).answer(prompts)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from covey.bench.llamacpp import LlamaCpp
from covey.bench.measurement import Answer
from covey.bench.methods import Method
from covey.bench.names import MethodName
from covey.bench.settings import BenchSettings
from covey.bench.tally import Passes, from_passes
from covey.model.reference import Generated, ReferenceGenerator

PROMPT_LOOKUP_TOKENS = 10


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
