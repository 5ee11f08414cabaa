"""What each caller has on its way, and how drafts of its kinds of work fare: shown to that caller alone.

Belongs to the event loop. Knows nothing of engines, nor of how a request comes through one.

    callers = Callers(); callers.begin(run); callers.fared(run, happened); callers.of(caller); callers.end(run)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

from covey.sampling_params import SamplingParams
from covey.server.keys import Caller
from covey.types import Round

_MOST_SHOWN = 50
_MOST_KINDS = 1024  # requests choose labels freely: the least recently used are forgotten
_MEMORY = 8192.0  # drafted tokens that a kind of work's record forgets in


class Underway(Protocol):
    """A request on its way, as far as its caller is told of it."""

    caller: Caller
    target: str
    params: SamplingParams

    def told(self) -> dict[str, Any]: ...


class Callers:
    """Of one server."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Underway]] = {}  # by caller, oldest first
        self._kinds: OrderedDict[tuple[str, str, str], list[float]] = OrderedDict()

    def begin(self, run: Underway) -> None:
        self._runs.setdefault(run.caller.name, []).append(run)

    def end(self, run: Underway) -> None:
        """May be called twice."""
        runs = self._runs.get(run.caller.name, [])
        if run in runs:
            runs.remove(run)
        if not runs:
            self._runs.pop(run.caller.name, None)

    def fared(self, run: Underway, happened: Round) -> None:
        """A Round of one of its completions."""
        if not happened.drafted:
            return
        key = (run.caller.name, run.target, run.params.label)
        counts = self._kinds.setdefault(key, [0.0, 0.0])
        self._kinds.move_to_end(key)
        keep = max(0.0, 1 - len(happened.drafted) / _MEMORY)
        counts[:] = counts[0] * keep + len(happened.drafted), counts[1] * keep + happened.accepted
        while len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)

    def of(self, caller: Caller) -> dict[str, Any]:
        """Its requests, the oldest first, and acceptance by the labels that it gave, the most drafted first."""
        runs = self._runs.get(caller.name, [])
        counts = [(each, *key[1:]) for key, each in self._kinds.items() if key[0] == caller.name]
        kinds = [
            {"model": target, "label": label, "acceptance": accepted / drafted, "drafted": round(drafted)}
            for (drafted, accepted), target, label in sorted(counts, reverse=True)
        ]
        return {"requests": [run.told() for run in runs[:_MOST_SHOWN]], "num_requests": len(runs), "labels": kinds[:_MOST_SHOWN]}
