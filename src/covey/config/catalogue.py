"""All settings: their names, defaults, ranges and one line of help each. The one source of defaults.

The ranges of sampling parameters are SamplingParams' own; this module only says how they are written and what they do.

    EngineConfig(max_num_seqs=4); all_options()["temperature"].help
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covey.config.option import ConfigError, Kind, Option, unknown
from covey.sampling_params import SamplingParams

DEFAULT_TARGET = "smollm2"
CONTROLLERS = ("goodput", "fixed", "smurfs", "heuristic", "confidence", "table", "watch")
PIPELINES = ("serial", "overlapped", "auto")
ALERTS = ("acceptance", "speedup", "repetition", "queue", "watchdog", "memory")
DTYPES = ("auto", "bfloat16", "float16", "float32", "float64")

_WEBHOOK = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?")


def _option(default: Any, kind: Kind, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help, **limits})


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How covey runs a target. Raises ConfigError naming field, value and range."""

    num_speculative_tokens: int = _option(8, "int", "most tokens drafted per sequence and round; 0 is plain decoding", low=0, high=64)
    controller: str = _option(
        "goodput",
        "str",
        "who chooses the draft length: goodput never drafts where that does not pay; the others are for comparison",
        choices=CONTROLLERS,
    )
    branches: str = _option(
        "auto",
        "str",
        "verify beside a draft what else may come at its places; auto where that costs no more than its tokens: not in 16 bits on a CPU",
        choices=("auto", "on", "off"),
    )
    pipeline: str = _option(
        "serial",
        "str",
        "serial drafts, then verifies; overlapped does both at once, in two threads; auto measures both and keeps the faster",
        choices=PIPELINES,
    )
    drafter_threads: int | None = _option(
        None, "int", "CPU threads of the drafter's own thread, where it has one; unset is 1 on a CPU", low=1, high=1024, optional=True
    )
    drafter_timeout: float = _option(
        60.0,
        "float",
        "seconds after which a drafter in a thread of its own counts as hung, and is never called again",
        low=0.01,
        high=86400,
    )
    dtype: str = _option("auto", "str", "number format of weights and cache; auto is bfloat16 where the machine has it", choices=DTYPES)
    device: str = _option("auto", "str", "where the target runs; auto is a GPU if there is one", pattern=r"auto|cpu|cuda|cuda:\d+")
    max_num_seqs: int = _option(8, "int", "most sequences decoded together; the others wait", low=1, high=4096)
    max_model_len: int | None = _option(
        None, "int", "most tokens of prompt and answer together; unset means the model's own limit", low=2, high=1 << 24, optional=True
    )
    cache_memory: float | None = _option(
        None,
        "float",
        "GiB for all KV caches, the drafters' too; unset means what max_num_seqs x max_model_len needs, at most half of the free memory",
        low=0.0001,
        high=1 << 24,
        optional=True,
    )
    prefill_chunk: int = _option(
        256,
        "int",
        "most prompt tokens read per step, so that long prompts do not stall others; 128 or more: prompts are cut at multiples of 128",
        low=1,
        high=1 << 20,
    )
    prefix_reuse: bool = _option(
        True, "bool", "keep what was read of ended requests while there is room, so that the next turn of a conversation is not read again"
    )
    compile: bool = _option(False, "bool", "compile the model with torch.compile: a slower start, then faster tokens")
    threads: int | None = _option(None, "int", "CPU threads; unset leaves torch's choice", low=1, high=1024, optional=True)
    collective_state: Path | None = _option(
        None,
        "path",
        "keep what a collective learns in this file, from one process to the next; unset learns it anew",
        optional=True,
    )
    trace: Path | None = _option(None, "path", "write every round as a JSON line to this file", optional=True)

    def __post_init__(self) -> None:
        for option in engine_options():
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> EngineConfig:
        """From keyword arguments; an unknown one is refused with the name that was probably meant."""
        names = [f.name for f in dataclasses.fields(cls)]
        for name in options:
            if name not in names:
                raise unknown("option", name, names)
        return cls(**options)

    def to_options(self) -> dict[str, Any]:
        """The keyword arguments that give this configuration again."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """How `covey serve` serves. Secrets are no settings: see covey.config.secrets. Raises ConfigError naming field, value and range."""

    host: str = _option("127.0.0.1", "str", "address to listen on; any other than this machine's own is open to the network")
    port: int = _option(8000, "int", "port to listen on; 0 takes a free one", low=0, high=65535)
    models: list[str] | None = _option(
        None, "names", "targets by the names that requests call them by: NAME=TARGET,NAME=TARGET; unset serves target", optional=True
    )
    keys_file: Path | None = _option(
        None, "path", "API keys, one a line, each with a name before it if wanted; COVEY_API_KEYS holds some, too", optional=True
    )
    allowed_hosts: list[str] | None = _option(
        None,
        "names",
        "names that clients may call this server by, beside localhost, addresses and the machine's own name; * allows all",
        optional=True,
    )
    allowed_origins: list[str] | None = _option(
        None, "names", "other web pages' origins that may send requests, as https://example.org; unset allows none", optional=True
    )
    max_connections: int = _option(
        512, "int", "most connections; further ones are answered 503, but for health and metrics", low=1, high=1 << 16
    )
    queue_size: int = _option(64, "int", "most requests of one API key that wait; further ones are answered 503", low=0, high=1 << 20)
    max_n: int = _option(16, "int", "most completions of one request", low=1, high=128)
    max_prompts: int = _option(32, "int", "most prompts of one request to /v1/completions", low=1, high=4096)
    max_body_bytes: int = _option(4 << 20, "int", "largest request body, in bytes", low=1024, high=1 << 30)
    max_header_bytes: int = _option(16 << 10, "int", "largest request line and headers together, in bytes", low=1024, high=1 << 20)
    request_seconds: float = _option(600.0, "float", "a request is ended after so many seconds, waiting included", low=0.1, high=1e6)
    body_seconds: float = _option(
        30.0, "float", "a request's headers, and then its body, must have come after so many seconds", low=0.1, high=1e6
    )
    drain_seconds: float = _option(300.0, "float", "after SIGTERM, running requests are given so many seconds to end", low=0.0, high=1e6)
    watchdog_seconds: float = _option(
        120.0, "float", "not ready when the engine has work and has made no step for so many seconds", low=0.1, high=1e6
    )
    alerts: list[str] | None = _option(
        None, "names", f"rules that watch this server: {', '.join(ALERTS)}; unset is all of them, none is none", optional=True
    )
    alert_seconds: float = _option(
        30.0, "float", "a rule must have been broken for so many seconds to alert, and kept for as long to clear", low=0.0, high=1e5
    )
    alert_acceptance: float = _option(
        0.5,
        "float",
        "alert when a minute's acceptance is under this share of the drafters' profile or of the long run",
        low=0.0,
        high=1.0,
    )
    alert_speedup: float = _option(
        0.95, "float", "alert when drafting makes the last minute slower than this times plain decoding, by estimate", low=0.0, high=10.0
    )
    alert_repetition: float = _option(
        0.98,
        "float",
        "alert when more than this share of a completion's drafted tokens is accepted: it may be in a loop",
        low=0.0,
        high=1.0,
    )
    alert_queue_seconds: float = _option(30.0, "float", "alert when a request has waited longer than this", low=0.0, high=1e6)
    alert_memory: float = _option(0.95, "float", "alert when more than this share of the machine's memory is in use", low=0.0, high=1.0)
    alert_webhook: str | None = _option(
        None, "str", "URL that alerts are posted to as JSON; no other address is ever called", optional=True
    )
    log_prompts: bool = _option(False, "bool", "write prompts into the log; otherwise no line of it holds text of a request")

    def __post_init__(self) -> None:
        for option in server_options():
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))
        for each in self.models or ():
            if not all(part.strip() for part in each.partition("=")):
                raise ConfigError(f"models={each!r}: models must be written as NAME=TARGET, separated by commas")
        if len(self.targets) < len(self.models or ()):
            raise ConfigError(f"models={','.join(self.models or ())!r}: models must have names of their own")
        if unknown_rules := [name for name in self.alerts or () if name not in ALERTS]:
            raise ConfigError(f"alerts={unknown_rules[0]!r}: alerts must be of {', '.join(ALERTS)}")
        if self.alert_webhook is not None and not _WEBHOOK.fullmatch(self.alert_webhook):
            # Not repeated here: what such an address ends with is often a secret.
            raise ConfigError("alert_webhook: it is no URL: it must be http:// or https:// with a host, and without spaces")

    @property
    def alert_rules(self) -> tuple[str, ...]:
        """The names of the rules that are on."""
        return ALERTS if self.alerts is None else tuple(self.alerts)

    @property
    def targets(self) -> dict[str, str]:
        """The targets of `models` by their names; empty where it is unset."""
        pairs = [each.partition("=") for each in self.models or ()]
        return {name.strip(): target.strip() for name, _, target in pairs}


# The ranges of these are SamplingParams' own business; here is what the command line and the documentation say.
_SAMPLING: dict[str, tuple[Kind, str]] = {
    "temperature": ("float", "0 always takes the likeliest token; higher is more varied"),
    "top_k": ("int", "sample from the k likeliest tokens only; 0 keeps all"),
    "top_p": ("float", "sample from the likeliest tokens that together have this probability"),
    "min_p": ("float", "drop tokens less likely than this share of the likeliest one's probability"),
    "presence_penalty": ("float", "lower the logit of every token that the answer already holds"),
    "frequency_penalty": ("float", "lower the logit of a token by its count in the answer"),
    "repetition_penalty": ("float", "divide the logit of tokens of prompt and answer; 1 changes nothing"),
    "logit_bias": ("pairs", "add to the logits of token ids: ID=BIAS,ID=BIAS"),
    "seed": ("int", "the same seed gives the same text; unset draws one"),
    "n": ("int", "answers per prompt"),
    "stop": ("strings", "a string that ends the answer and is left out of it; may be given several times"),
    "stop_token_ids": ("ints", "token ids that end the answer: ID,ID"),
    "ignore_eos": ("bool", "go on after the model's own end token"),
    "max_tokens": ("int", "most tokens of an answer"),
    "min_tokens": ("int", "fewest tokens of an answer"),
    "logprobs": ("int", "log probabilities of the chosen token and of this many others"),
    "speculation": (
        "pairs",
        "cap draft lengths: num_tokens=K, 0 is plain; or a JSON object, which may name the drafters",
    ),
    "label": ("str", "the kind of work, in your own words: a collective keeps its members' records by it"),
    "grammar": ("grammar", "what the answer must look like: json_object, json_schema:FILE, regex:PATTERN or lark:FILE"),
}

MODEL_OPTIONS = (
    Option("target", "str", "the model that answers: a folder, a hub id, a .gguf file, smollm2 or toy", "model", DEFAULT_TARGET),
    Option(
        "drafters",
        "names",
        "who drafts: suffix, grammar, nested:FOLDER, model:TARGET or a plug-in's name, by commas; none is plain, unset is covey's choice",
        "model",
        optional=True,
    ),
)


def engine_options() -> tuple[Option, ...]:
    found = dataclasses.fields(EngineConfig)
    return tuple(Option(name=f.name, group="engine", default=f.default, **f.metadata) for f in found)


def server_options() -> tuple[Option, ...]:
    found = dataclasses.fields(ServerConfig)
    return tuple(Option(name=f.name, group="server", default=f.default, **f.metadata) for f in found)


def sampling_options() -> tuple[Option, ...]:
    defaults = SamplingParams()
    return tuple(
        Option(name, kind, help, "sampling", getattr(defaults, name), optional=getattr(defaults, name) is None)
        for name, (kind, help) in _SAMPLING.items()
    )


def all_options() -> dict[str, Option]:
    return {option.name: option for option in (*MODEL_OPTIONS, *engine_options(), *sampling_options(), *server_options())}
