"""What one benchmark run measures, checked before anything is loaded.

Knows names and ranges; loads no model and reads no prompt.

    BenchSettings(prompts="dev.jsonl.gz", methods=("plain", "fixed-4"), batch=(1, 8), limit=8)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covey.bench.names import MethodName, parse_method
from covey.config import DEFAULT_TARGET, ConfigError, EngineConfig
from covey.sampling_params import SamplingParams

_WHOLE_NUMBERS = {
    "limit": (1, 1 << 20),
    "max_tokens": (1, 1 << 20),
    "repetitions": (1, 1000),
    "warmup": (0, 1000),
    "seed": (0, (1 << 64) - 1),
}


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """The settings of a run. Raises ConfigError naming field, value and range.

    prompts: a .jsonl or .jsonl.gz file. drafters: those of the methods that name none; None is covey's choice. tasks: None
    takes all. limit: prompts per task. repetitions: how often every prompt group is measured with every method. warmup:
    prompt groups that every method answers, unmeasured, for each batch size. json, markdown: files to write. Lists may
    be given as one text with commas. The other fields are those of EngineConfig and SamplingParams.
    """

    prompts: Path
    target: str = DEFAULT_TARGET
    drafters: tuple[str, ...] | None = None
    methods: tuple[str, ...] = ("plain", "goodput")
    batch: tuple[int, ...] = (1,)
    tasks: tuple[str, ...] | None = None
    limit: int | None = None
    max_tokens: int = 128
    repetitions: int = 1
    warmup: int = 1
    temperature: float = 0.0
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    compile: bool = False
    max_model_len: int | None = None
    json: Path | None = None
    markdown: Path | None = None

    def __post_init__(self) -> None:
        for name in ("prompts", "json", "markdown"):
            self._set(name, _path(name, getattr(self, name), optional=name != "prompts"))
        for name in ("drafters", "methods", "tasks"):
            self._set(name, _texts(name, getattr(self, name)))
        self._set("batch", _sizes(self.batch))
        if not isinstance(self.target, str) or not self.target.strip():
            raise ConfigError(f"target={self.target!r}: target must be the name of a model")
        for name, (low, high) in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if value is None and name == "limit":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"{name}={value!r}: {name} must be a whole number from {low} to {high}")
        self._check_methods()
        try:
            SamplingParams(temperature=self.temperature)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self.engine_options()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_methods(self) -> None:
        names = [method.name for method in self.method_names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"methods={twice[0]!r}: named twice; name each method once")
        if "plain" not in names:
            raise ConfigError(f"methods={','.join(names)!r}: methods must include plain, which the others are compared with")
        if self.target == "toy" and (peers := [m.name for m in self.method_names if m.is_peer]):
            raise ConfigError(f"methods={peers[0]!r}: the target toy has no weights that another system could load; leave it out")

    @property
    def method_names(self) -> tuple[MethodName, ...]:
        return tuple(parse_method(name) for name in self.methods)

    def engine_options(self) -> dict[str, Any]:
        """The options of every LLM of this run. Raises ConfigError for a bad value."""
        options: dict[str, Any] = {name: getattr(self, name) for name in ("dtype", "device", "threads", "compile", "max_model_len")}
        # At least 1: with 0 the engine would not even make the drafters, and plain would have less to carry than the others.
        longest = max([1, *(method.length for method in self.method_names)])
        # Every method reads its prompts: one that found them read by another would win by that.
        options |= {"max_num_seqs": max(self.batch), "num_speculative_tokens": longest, "prefix_reuse": False}
        EngineConfig(**options)
        return options

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON holds them."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v for name, v in plain.items()}


def _path(name: str, value: object, optional: bool) -> Path | None:
    if value is None and optional:
        return None
    if not isinstance(value, str | Path) or not str(value):
        raise ConfigError(f"{name}={value!r}: {name} must be the path of a file")
    return Path(value)


def _texts(name: str, value: object) -> tuple[str, ...] | None:
    if value is None and name != "methods":
        return None
    if isinstance(value, str):
        value = [] if name == "drafters" and value.strip().lower() == "none" else value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ConfigError(f"{name}={value!r}: {name} must be names, separated by commas")
    if not value and name != "drafters":
        raise ConfigError(f"{name}={value!r}: {name} must name at least one")
    return tuple(text.strip() for text in value)


def _sizes(value: object) -> tuple[int, ...]:
    if isinstance(value, str):
        value = [int(part) if part.strip().isdigit() else part for part in value.split(",")]
    if isinstance(value, int):
        value = [value]
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 4096 for size in value)
    ):
        raise ConfigError(f"batch={value!r}: batch must be whole numbers from 1 to 4096, separated by commas")
    if len(set(value)) < len(value):
        raise ConfigError(f"batch={value!r}: each size must be named once")
    return tuple(value)
