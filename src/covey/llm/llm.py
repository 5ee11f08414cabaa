"""`LLM`: prompts to completions, in the caller's thread.

with LLM("smollm2") as llm:
    for chunk in llm.stream("The birds of passage"): print(chunk.text, end="")
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

from covey.engine.generation import Event
from covey.engine.progress import Progress
from covey.errors import CoveyError
from covey.llm.completion import Chunk, Completion
from covey.llm.front import Front
from covey.llm.request import Request
from covey.sampling_params import SamplingParams
from covey.types import Prompt


class LLM(Front):
    """Targets with their drafters, in this process.

    target: a Hugging Face folder or hub id, a .gguf file, "smollm2", "toy", or a Target object; or several as targets, a
    dict of names and targets, which requests then choose from by `model`. Targets of one vocabulary share their drafters:
    a nested draft's weights are held once. drafters: names or Drafter objects; None takes what is known to be good, []
    decodes plainly. The options are those of `covey.config.EngineConfig`. May be called from several threads; they share
    the engines' steps.

    Raises CoveyError (one line, with the fix) for what does not fit together.
    """

    def _begin(self) -> None:
        self._lock = threading.Lock()

    def generate(
        self,
        prompts: Prompt | list[Prompt],
        params: SamplingParams | list[SamplingParams] | None = None,
        *,
        model: str | list[str] | None = None,
        scope: str = "",
        progress: bool | None = None,
    ) -> list[Completion]:
        """Completions in the order of the prompts, n for each.

        model: the target, where several are served; one for all prompts, or one each. scope: on whose behalf; what was read of a
        prompt serves later ones that begin alike, but never those of another scope. progress: a bar with tokens/s and
        acceptance; None shows one for several prompts on a terminal. All prompts are checked before the first is run:
        CoveyError or ValueError says what is wrong with which field.
        """
        many = _as_list(prompts)
        each = _one_each("params", SamplingParams() if params is None else params, len(many))
        models = _one_each("model", model, len(many))
        show = len(many) > 1 and sys.stderr.isatty() if progress is None else progress
        with Progress(sum(p.n for p in each), show) as bar:
            asked = zip(many, each, models, strict=True)
            requests = [self._request(prompt, p, bar.listen, model=name, scope=scope) for prompt, p, name in asked]
            self._run(requests)
        return [completion for number, request in enumerate(requests) for completion in request.completions(number)]

    def stream(self, prompt: Prompt, params: SamplingParams | None = None, *, model: str | None = None, scope: str = "") -> Iterator[Chunk]:
        """Chunks of one completion as it grows, the last with a finish_reason. Leaving the loop aborts the request.

        scope: as for generate.
        """
        params = params or SamplingParams()
        if params.n != 1:
            raise CoveyError(f"n={params.n}: stream gives one completion; use generate, or stream n times")
        events: list[Event] = []
        return self._stream(self._request(prompt, params, events.append, model=model, scope=scope), events)

    def _stream(self, request: Request, events: list[Event]) -> Iterator[Chunk]:
        self._add([request])
        try:
            while not request.finished or events:
                with self._lock:
                    if not events:
                        request.engine.step()
                while events:
                    yield request.chunk(events.pop(0))
        finally:
            self._abort([request])

    def _run(self, requests: list[Request]) -> None:
        """Step until these are finished, engines in turn; whatever interrupts it aborts them, so that no row is lost."""
        self._add(requests)
        engines = list(dict.fromkeys(request.engine for request in requests))
        try:
            while not all(request.finished for request in requests):
                for engine in engines:
                    with self._lock:
                        engine.step()
        finally:
            self._abort(requests)

    def _add(self, requests: list[Request]) -> None:
        with self._lock:
            for request in requests:
                for generation in request.generations:
                    request.engine.add(generation)

    def _abort(self, requests: list[Request]) -> None:
        """Those of them that are not finished."""
        with self._lock:
            for request in requests:
                if not request.finished:
                    request.engine.abort(request.id)

    def close(self) -> None:
        """Give back memory. The object is unusable afterwards."""
        with self._lock:
            self._system.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _as_list(prompts: Prompt | list[Prompt]) -> list[Prompt]:
    """One prompt or many: a list of ids, or of messages, is one."""
    if isinstance(prompts, str):
        return [prompts]
    if prompts and all(isinstance(p, int | dict) for p in prompts):
        return [prompts]  # type: ignore[list-item]
    return list(prompts)  # type: ignore[arg-type]


def _one_each(name: str, given: Any, count: int) -> list[Any]:
    """One for each prompt, of one for all or one each."""
    if not isinstance(given, list):
        return [given] * count
    if len(given) != count:
        raise CoveyError(f"{name} has {len(given)} entries for {count} prompts: give one for all, or one each")
    return [*given]
