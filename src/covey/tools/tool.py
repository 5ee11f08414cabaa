"""What a tool is: a function's name, what it is for, and the JSON schema of its arguments.

Knows nothing of how models write calls.

    (tool,) = tools_of([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}])
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from covey.errors import CoveyError

_MOST = 128
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEYS = {"name", "description", "parameters", "strict"}


@dataclass(frozen=True)
class Tool:
    """A function that the model may ask for. strict: its arguments must obey the schema wherever a call is written."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False

    @classmethod
    def of(cls, given: Any, where: str) -> Tool:
        """From {"type": "function", "function": {...}}. Raises CoveyError naming the field, which begins with `where`."""
        if not isinstance(given, dict) or given.get("type") != "function" or set(given) != {"type", "function"}:
            raise CoveyError(f'{where}: must be an object {{"type": "function", "function": {{...}}}} and nothing else')
        function = given["function"]
        if not isinstance(function, dict) or set(function) - _KEYS:
            raise CoveyError(f"{where}.function: must be an object of {', '.join(sorted(_KEYS))} and nothing else")
        name, parameters = function.get("name"), function.get("parameters")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise CoveyError(f"{where}.function.name={name!r}: must be 1 to 64 letters, digits, _ or -")
        if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type", "object") != "object"):
            raise CoveyError(f"{where}.function.parameters: must be a JSON schema of an object")
        description, strict = function.get("description") or "", function.get("strict") or False
        if not isinstance(description, str) or not isinstance(strict, bool):
            raise CoveyError(f"{where}.function: description must be a text, and strict true or false")
        # A schema that does not say so is one of an object all the same: arguments are named.
        return cls(name, description, {"type": "object", "properties": {}, **(parameters or {})}, strict)

    def described(self) -> dict[str, Any]:
        """As chat templates want it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


def tools_of(given: Any) -> tuple[Tool, ...]:
    """A request's `tools`. Raises CoveyError naming the field."""
    if not isinstance(given, list) or not 0 < len(given) <= _MOST:
        raise CoveyError(f"tools: must be a list of 1 to {_MOST} tools; leave it out for none")
    tools = tuple(Tool.of(each, f"tools[{i}]") for i, each in enumerate(given))
    if twice := [name for name, count in Counter(tool.name for tool in tools).items() if count > 1]:
        raise CoveyError(f"tools: two are called {twice[0]!r}: give each its own name")
    return tools
