"""Puts a system together: target, drafters, memory, engine; and turns prompts into what the engine runs.

The one place that knows all the parts by name; knows nothing of threads or of who asks.

    system = System("smollm2", drafters=None, options={}); system.engine.add(...)
"""

from __future__ import annotations

import itertools
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TextIO

import torch

from covey import noise
from covey.config import EngineConfig
from covey.control import FixedLength
from covey.drafters import good_drafters, make_drafter
from covey.engine.engine import Engine
from covey.engine.generation import Event, Generation
from covey.engine.memory import MemoryPlan, plan_memory
from covey.engine.text import OutputText
from covey.errors import CoveyError, UnsupportedError
from covey.model.load import check_context, load
from covey.model.target import LocalTarget
from covey.model.tokenizer import TextStream
from covey.pipeline import Serial
from covey.rows import BLOCK_SIZE
from covey.sampling_params import SamplingParams
from covey.toy import ToyTarget
from covey.types import Drafter, Host, Prompt, Round, Sequence

log = logging.getLogger(__name__)


class System:
    """Target, drafters and engine as one."""

    def __init__(self, target: str | Any, drafters: list[str | Drafter] | None, options: dict[str, Any]) -> None:
        self.config = EngineConfig.from_options(options)
        if self.config.threads is not None:
            torch.set_num_threads(self.config.threads)
        self.target = _make_target(target, self.config)
        self.drafters = [] if self.config.num_speculative_tokens == 0 else self._make_drafters(drafters)
        self.tokenizer = self.target.tokenizer
        self.max_model_len = _max_model_len(self.config, self.target)
        self.memory_plan = self._plan()
        log.info("%s", self.memory_plan)
        self.target.allocate(self.memory_plan.max_tokens // BLOCK_SIZE)
        self._bind()
        pipeline = Serial(self.target, self.drafters[0] if self.drafters else None)
        controller = FixedLength(self.config.num_speculative_tokens if self.drafters else 0)
        self.engine = Engine(pipeline, controller, self.config.max_num_seqs, self.config.prefill_chunk)
        self._numbers = itertools.count()
        self._trace: TextIO | None = None
        if self.config.trace is not None:
            self._trace = open(self.config.trace, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
            self.engine.observers.append(self._write_trace)

    def _make_drafters(self, given: list[str | Drafter] | None) -> list[Drafter]:
        named = list(good_drafters(self.target.name)) if given is None else given
        if isinstance(named, str):
            raise CoveyError(f"drafters={named!r}: drafters must be a list, as in drafters=[{named!r}]")
        if len(named) > 1:
            raise UnsupportedError(f"drafters has {len(named)} entries: covey takes one drafter at a time for now; name one")
        config = self.config

        def make(name: str) -> Drafter:
            return make_drafter(name, dtype=config.dtype, device=config.device, compiled=config.compile)

        return [make(d) if isinstance(d, str) else d for d in named]

    def _plan(self) -> MemoryPlan:
        per_token = {self.target.name: self.target.bytes_per_token, **{d.name: d.bytes_per_token for d in self.drafters}}
        weights = {self.target.name: self.target.parameter_bytes, **{d.name: getattr(d, "parameter_bytes", 0) for d in self.drafters}}
        return plan_memory(self.config, self.max_model_len, self.target.device, weights, per_token)

    def _bind(self) -> None:
        host = Host(
            tokenizer=self.tokenizer,
            vocab_size=self.target.vocab_size,
            max_model_len=self.max_model_len,
            max_num_seqs=self.config.max_num_seqs,
            max_tokens=self.memory_plan.max_tokens,
            device=self.target.device,
            dtype=self.target.dtype,
            end_ids=self.target.end_ids,
            target=self.target.name,
        )
        for drafter in self.drafters:
            drafter.bind(host)

    def _write_trace(self, happened: Round) -> None:
        assert self._trace is not None
        self._trace.write(json.dumps(happened.to_dict()) + "\n")
        if happened.finish_reason:
            self._trace.flush()

    def observe(self, observer: Callable[[Round], None]) -> Callable[[], None]:
        """Call observer with every Round from now on; returns a function that ends it."""
        self.engine.observers.append(observer)
        return lambda: self.engine.observers.remove(observer)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt: text, token ids, or chat messages. Raises CoveyError when it does not fit the target."""
        if isinstance(prompt, str):
            ids = self.tokenizer.encode(prompt)
        elif isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):
            ids = self.tokenizer.apply_chat(prompt)
        elif isinstance(prompt, list) and all(isinstance(t, int) and not isinstance(t, bool) for t in prompt):
            ids = list(prompt)
        else:
            raise CoveyError(f"prompt is a {type(prompt).__name__}: it must be a string, a list of token ids, or a list of chat messages")
        if not ids:
            raise CoveyError("prompt has no tokens: give at least one")
        if wrong := [t for t in ids if not 0 <= t < self.target.vocab_size]:
            raise CoveyError(f"prompt holds token id {wrong[0]}: ids must be from 0 to {self.target.vocab_size - 1}")
        if len(ids) >= self.max_model_len:
            raise CoveyError(f"prompt has {len(ids)} tokens: max_model_len={self.max_model_len} must leave room for one more; shorten it")
        return ids

    def generations(self, ids: list[int], params: SamplingParams, listener: Callable[[Event], None]) -> list[Generation]:
        """The n completions of one request, ready for the engine. Raises ValueError for ids beyond the vocabulary."""
        params.check_vocabulary(self.target.vocab_size)
        room = self.max_model_len - len(ids)
        params = replace(params, max_tokens=min(params.max_tokens, room), min_tokens=min(params.min_tokens, room))
        request_seed = secrets.randbits(63) if params.seed is None else params.seed
        end_ids = frozenset(params.stop_token_ids) | (frozenset() if params.ignore_eos else self.target.end_ids)
        request_id = f"r{next(self._numbers)}"
        made = []
        for index in range(params.n):
            seed = noise.sequence_seed(request_seed, ids, index)
            sequence = Sequence(next(self._numbers), tuple(ids), params, seed, request_id, index, end_ids)
            text = OutputText(TextStream(self.tokenizer), params.stop)
            made.append(Generation(sequence, text, listener, logprobs=None if params.logprobs is None else []))
        return made

    def close(self) -> None:
        if self._trace is not None:
            self._trace.close()
        for drafter in self.drafters:
            drafter.close()
        self.target.close()


def _make_target(target: Any, config: EngineConfig) -> Any:
    if not isinstance(target, str):
        return target
    if target == "toy":
        if config.device not in ("auto", "cpu") or config.dtype not in ("auto", "float64"):
            raise UnsupportedError(f"dtype={config.dtype!r}, device={config.device!r}: 'toy' runs in float64 on the CPU; leave both auto")
        return ToyTarget()
    return LocalTarget(load(target, dtype=config.dtype, device=config.device), compiled=config.compile)


def _max_model_len(config: EngineConfig, target: Any) -> int:
    """The longest sequence: what was asked for, or what the model can do."""
    longest: int = target.max_model_len
    if config.max_model_len is None:
        return longest
    if config.max_model_len > longest:
        raise CoveyError(f"max_model_len={config.max_model_len}: {target.name} handles {longest} positions; set it to at most {longest}")
    if isinstance(target, LocalTarget):
        check_context(target.runner.model.config, config.max_model_len)
    return config.max_model_len
