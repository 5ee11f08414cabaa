"""What `LLM` and `AsyncLLM` have in common: targets with their drafters, and how a prompt becomes a request to one of them.

Knows nothing of who steps the engines, or when.

    request = front.request("Hello", SamplingParams(), listener, model="smollm2")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Seq
from typing import Any

from covey.engine.generation import Event
from covey.engine.served import Served, kind_of_work
from covey.engine.system import System
from covey.errors import CoveyError
from covey.llm.request import Request
from covey.sampling_params import SamplingParams
from covey.tools import Tool
from covey.types import Drafter, Prompt, Round


class Front:
    """What LLM and AsyncLLM are both made of. Its arguments are described there."""

    def __init__(
        self,
        target: Any = None,
        *,
        targets: Mapping[str, Any] | None = None,
        drafters: list[str | Drafter] | None = None,
        **options: Any,
    ) -> None:
        self._system = System(_named(target, targets), drafters, options)
        self._begin()

    def _begin(self) -> None:
        """Targets and drafters are there: what the way of stepping the engines needs besides."""
        raise NotImplementedError

    config = property(lambda self: self._system.config)
    memory_plan = property(lambda self: self._system.memory_plan)
    drafters = property(lambda self: self._system.drafters)
    # Of the only target; served(name) has them where there are several.
    tokenizer = property(lambda self: self.served().tokenizer)
    target = property(lambda self: self.served().target)
    max_model_len = property(lambda self: self.served().max_model_len)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names that requests call targets by."""
        return tuple(self._system.targets)

    def served(self, model: str | None = None) -> Served:
        """One target, with its tokenizer and limits. Raises CoveyError for an unknown name, or none where there are several."""
        return self._system.served(model)

    def encode(self, prompt: Prompt, *, model: str | None = None, tools: Seq[Tool] = ()) -> list[int]:
        """Token ids of a prompt as a target sees it; tools are told to it along with chat messages."""
        return self.served(model).encode(prompt, tools)

    def observe(self, observer: Callable[[Round], None]) -> Callable[[], None]:
        """Call observer, in the engine's thread, with every Round of every sequence from now on; returns a function that ends it."""
        return self._system.observe(observer)

    def _request(
        self,
        prompt: Prompt,
        params: SamplingParams,
        listener: Callable[[Event], None],
        *,
        model: str | None,
        scope: str,
        kind: str | None = None,
    ) -> Request:
        """A prompt, checked and ready for its engine. kind: None takes it from label or system prompt.

        Raises CoveyError or ValueError, which name what is wrong with which field.
        """
        served = self.served(model)
        kind = kind_of_work(prompt, params) if kind is None else kind
        return Request(served.engine, served.generations(served.encode(prompt), params, listener, kind, scope))


def _named(target: Any, targets: Mapping[str, Any] | None) -> dict[str, Any]:
    """The targets by the names that requests call them by: one goes by its own."""
    if (target is None) == (targets is None):
        raise CoveyError("target and targets: give one of them, a target or a dict of names and targets")
    if targets is None:
        return {target if isinstance(target, str) else target.name: target}
    if not isinstance(targets, Mapping) or not targets:
        raise CoveyError(f"targets={targets!r}: targets must be a dict of at least one name and target")
    return dict(targets)
