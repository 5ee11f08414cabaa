"""Joins command line, environment, covey.toml and defaults into the settings of one command.

Knows nothing of what the settings do.

    load_settings({"max_num_seqs": "4"}).engine.max_num_seqs
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covey.config.catalogue import DEFAULT_TARGET, EngineConfig, ServerConfig, all_options
from covey.config.environment import OTHER_VARIABLES
from covey.config.option import PREFIX, ConfigError, Option, unknown
from covey.sampling_params import SamplingParams

FILE_NAME = "covey.toml"
TABLES = ("sampling", "server")


@dataclass(frozen=True)
class Settings:
    """What a command runs with. sources says, for each setting that is not a default, where it came from."""

    target: str = DEFAULT_TARGET
    drafters: list[str] | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)
    sampling: SamplingParams = field(default_factory=SamplingParams)
    server: ServerConfig = field(default_factory=ServerConfig)
    sources: Mapping[str, str] = field(default_factory=dict)


def load_settings(cli: Mapping[str, object], file: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Join command line, environment, file and defaults, in this order of precedence.

    cli holds only what was given (None counts as not given); texts are parsed. file is that of --config; without it
    covey.toml in the working directory is read if it exists. env is the process's environment unless given.
    Raises ConfigError naming the setting, its value, the fix and where it came from.
    """
    options, values, sources = all_options(), {}, {}
    layers: list[tuple[Mapping[str, object], Callable[[Option], str]]] = []
    path = file if file is not None else Path(FILE_NAME)
    if file is not None or path.is_file():
        layers.append((_read_file(path, options), lambda option: str(path)))
    layers.append((_read_environment(os.environ if env is None else env, options), lambda option: option.variable))
    layers.append((cli, lambda option: option.flag))
    for layer, origin in layers:
        for name, value in layer.items():
            if name not in options:
                raise unknown("setting", name, options)
            if value is not None:
                values[name], sources[name] = value, origin(options[name])
    return _assemble(options, values, sources)


def _assemble(options: Mapping[str, Option], values: dict[str, Any], sources: dict[str, str]) -> Settings:
    def group(name: str) -> dict[str, Any]:
        return {n: v for n, v in values.items() if options[n].group == name}

    try:
        for name, value in values.items():
            # Only a file has types of its own; what the shell says is text.
            if isinstance(value, str) and sources[name] in (options[name].flag, options[name].variable):
                values[name] = options[name].parse(value)
        return Settings(
            target=_target_name(values.get("target", DEFAULT_TARGET)),
            drafters=_drafter_names(values.get("drafters"), options["drafters"]),
            engine=EngineConfig(**group("engine")),
            sampling=SamplingParams(**group("sampling")),
            server=ServerConfig(**group("server")),
            sources=sources,
        )
    except ValueError as error:
        # Every such message begins with its field.
        origin = sources.get(re.split(r"[^a-z_]", str(error), maxsplit=1)[0])
        raise ConfigError(f"{error} (from {origin})" if origin else str(error)) from None


def _target_name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"target={value!r}: target must be the name of a model: a folder, a hub id, a .gguf file, smollm2 or toy")
    return value


def _drafter_names(value: object, option: Option) -> list[str] | None:
    names = option.parse(value) if isinstance(value, str) else value  # a file may hold one string too
    if names is None or (isinstance(names, list) and all(isinstance(name, str) and name for name in names)):
        return names
    raise option.refuse(value, "names separated by commas, or none")


def _read_file(path: Path, options: Mapping[str, Option]) -> dict[str, object]:
    """The settings of a covey.toml: engine settings, target and drafters at the top, the rest under [sampling] and [server]."""
    try:
        with path.open("rb") as stream:
            data = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"config={str(path)!r}: {(error.strerror or str(error)).lower()}; give --config a file that exists") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    tables = {table: data.pop(table, {}) for table in TABLES}
    for table, held in tables.items():
        if not isinstance(held, dict):
            raise ConfigError(f"{path}: {table}={held!r}: {table} must be a table, [{table}]")
    found: dict[str, object] = {}
    for table, held in {"": data, **tables}.items():
        for name, value in held.items():
            if name not in options:
                names = [n for n, option in options.items() if _table(option) == table]
                names += [] if table else TABLES
                raise ConfigError(f"{path}: {unknown('key', name, names)}")
            if _table(options[name]) != table:
                stands, place = f"under [{table}]" if table else "at the top", _table(options[name])
                raise ConfigError(f"{path}: {name} stands {stands}: put it {f'under [{place}]' if place else 'at the top of the file'}")
            found[name] = value
    return found


def _table(option: Option) -> str:
    """The table of the file that a setting stands in; empty for the top."""
    return option.group if option.group in TABLES else ""


def _read_environment(env: Mapping[str, str], options: Mapping[str, Option]) -> dict[str, object]:
    known = {option.variable: name for name, option in options.items()}
    found: dict[str, object] = {}
    for variable, value in env.items():
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            if variable not in known:
                raise ConfigError(f"{unknown('environment variable', variable, (*known, *OTHER_VARIABLES))} Otherwise unset it.")
            found[known[variable]] = value
    return found
