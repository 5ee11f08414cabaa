"""What one setting is: its kind, range and help, how its text is read, and how a bad value is refused.

Knows neither which settings there are nor where values come from.

    Option("top_k", "int", "keep the k likeliest", "sampling", low=0, high=100).parse("40")
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from covey.errors import CoveyError
from covey.sampling_params import GRAMMAR_KINDS, Grammar

PREFIX = "COVEY_"

Kind = Literal["int", "float", "bool", "str", "path", "names", "strings", "ints", "pairs", "grammar"]


class ConfigError(CoveyError, ValueError):
    """A setting that is unknown, or whose value is out of range. The message names it, the value and the fix."""


def unknown(what: str, name: str, names: Iterable[str]) -> ConfigError:
    """The error for a name that nobody knows, with the nearest known one."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(sorted(names))
    return ConfigError(f"unknown {what} {name!r}: {hint}")


@dataclass(frozen=True)
class Option:
    """What the command line, the environment, the file and the documentation need to know of one setting."""

    name: str
    kind: Kind
    help: str
    group: Literal["model", "engine", "sampling", "server"]
    default: Any = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    optional: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def refuse(self, value: object, must: str) -> ConfigError:
        return ConfigError(f"{self.name}={value!r}: {self.name} must be {must}")

    def parse(self, text: str) -> Any:
        """A value from a command line or an environment variable."""
        word = text.strip()
        if self.optional and word.lower() in (("auto",) if self.kind == "names" else ("auto", "none")):
            return None  # of drafters, "none" means an empty list
        try:
            return _PARSERS[self.kind](word if self.kind not in ("str", "strings") else text)
        except ConfigError:
            raise
        except ValueError:
            raise self.refuse(text, _SHAPES[self.kind]) from None

    def check(self, value: Any) -> Any:
        """The value in its proper type; ConfigError if it is of the wrong type or out of range."""
        if value is None and self.optional:
            return None
        if self.kind == "path" and isinstance(value, str | Path) and str(value):
            return Path(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = {
            "int": isinstance(value, int) and number,
            "float": number,
            "bool": isinstance(value, bool),
            "str": isinstance(value, str) and (value in self.choices or not self.choices),
            "names": isinstance(value, list) and all(isinstance(name, str) and name for name in value),
        }.get(self.kind, False)
        if right and number and self.low is not None and self.high is not None:
            right = self.low <= value <= self.high
        if right and self.pattern:
            right = re.fullmatch(self.pattern, value) is not None
        if not right:
            raise self.refuse(value, self.range)
        return float(value) if self.kind == "float" else value

    @property
    def range(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.pattern:
            names = self.pattern.replace(r"\d+", "N").split("|")
            return ", ".join(names[:-1]) + " or " + names[-1]
        limits = f" from {self.low:g} to {self.high:.10g}" if self.low is not None and self.high is not None else ""
        return _SHAPES[self.kind] + limits + (", or unset" if self.optional else "")


def _names(text: str) -> list[str]:
    if text.lower() in ("none", ""):
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(text)
    return names


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _strings(text: str) -> list[str]:
    parsed = json.loads(text) if text.startswith("[") else [text]
    return list(parsed)


def _pairs(text: str) -> dict[Any, Any]:
    """ID=VALUE,ID=VALUE, or a JSON object."""
    if text.startswith("{"):
        return dict(json.loads(text))
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {key.strip(): _number(value) for key, _, value in pairs}


def _grammar(text: str) -> Grammar:
    """json_object, regex:PATTERN, json_schema:FILE, lark:FILE, or as a file of answers has it, in JSON."""
    if text.startswith("{"):
        text = json.loads(text)
    kind, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not rest or kind not in GRAMMAR_KINDS:
        return _made(lambda: Grammar.of(text))
    return _made(lambda: Grammar(kind, rest if kind == "regex" else _contents(rest)))


def _contents(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"grammar: {file!r} cannot be read ({getattr(error, 'strerror', None) or error}): name a file of text") from None


def _made(make: Callable[[], Grammar]) -> Grammar:
    """Its own refusals say what is wrong already."""
    try:
        return make()
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _number(text: str) -> int | float:
    return float(text) if re.search(r"[.eE]", text) else int(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": _boolean,
    "str": str,
    "path": Path,
    "names": _names,
    "strings": _strings,
    "ints": lambda text: [int(part) for part in text.split(",") if part.strip()],
    "pairs": _pairs,
    "grammar": _grammar,
}
_SHAPES: dict[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "path": "a path",
    "names": "names separated by commas, or none",
    "strings": "a string, or a JSON list of strings",
    "ints": "whole numbers separated by commas",
    "pairs": "pairs like 42=-1.5,7=2",
    "grammar": "json_object, regex:PATTERN, json_schema:FILE or lark:FILE",
}
