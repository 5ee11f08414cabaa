"""One target as it is served: its engine, and how prompts become what the engine runs.

Knows nothing of other targets, of threads or of who asks.

    served.engine.add(served.generations(served.encode("Hello"), SamplingParams(), listener)[0])
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import replace

from covey import noise
from covey.config import EngineConfig
from covey.control import FixedLength
from covey.drafters import CollectiveDrafter
from covey.engine.engine import Engine
from covey.engine.generation import Event, Generation
from covey.engine.text import OutputText
from covey.engine.warm import ColdRows, WarmRows
from covey.errors import CoveyError
from covey.model.grammars import Grammars
from covey.model.tokenizer import TextStream
from covey.pipeline import Pipeline
from covey.sampling_params import SamplingParams
from covey.tools import Tool
from covey.types import Prompt, Sequence

_numbers = itertools.count()  # sequences and requests are told apart by them, whatever target they are for


def kind_of_work(prompt: Prompt, params: SamplingParams) -> str:
    """What a collective keeps its members' records by: the label that the request gives, or else the system prompt that it begins with.

    Of a system prompt only a digest is kept: one can tell that two requests have the same, and no more. Empty where there is
    neither; such requests share one record.
    """
    first = prompt[0] if isinstance(prompt, list) and prompt else None
    if params.label or not isinstance(first, dict) or first.get("role") != "system":
        return params.label
    return "system:" + hashlib.blake2b(first["content"].encode(), digest_size=8, person=b"covey kind").hexdigest()


class Served:
    """A target under the name that requests call it by. drafters_asked_for: names as in `nested:FOLDER`; empty where one had none."""

    def __init__(self, name: str, pipeline: Pipeline, max_model_len: int, config: EngineConfig) -> None:
        self.name, self.target, self.drafter, self.max_model_len = name, pipeline.target, pipeline.drafter, max_model_len
        self.tokenizer = self.target.tokenizer
        self.drafters_asked_for: tuple[str, ...] = ()
        self.grammars = Grammars(self.tokenizer, self.target.vocab_size, self.target.end_ids)
        ended = WarmRows(pipeline) if config.prefix_reuse and hasattr(self.target, "inherit") else ColdRows(pipeline)
        self.engine = Engine(pipeline, FixedLength(0), config.max_num_seqs, config.prefill_chunk, ended)

    @property
    def drafter_names(self) -> tuple[str, ...]:
        """Who may draft, by the names that a request's `speculation` calls them by."""
        if self.drafter is None:
            return ()
        return self.drafter.member_names if isinstance(self.drafter, CollectiveDrafter) else (self.drafter.name,)

    def encode(self, prompt: Prompt, tools: Seq[Tool] = ()) -> list[int]:
        """Token ids of a prompt: text, token ids, or chat messages, with which tools may go. Raises CoveyError when it does not fit
        the target."""
        if tools and not (isinstance(prompt, list) and prompt and isinstance(prompt[0], dict)):
            raise CoveyError("tools: they go with chat messages: give messages, or leave tools out")
        if isinstance(prompt, str):
            ids = self.tokenizer.encode(prompt)
        elif isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):
            ids = self.tokenizer.apply_chat(prompt, tools) if tools else self.tokenizer.apply_chat(prompt)
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

    def generations(
        self, ids: list[int], params: SamplingParams, listener: Callable[[Event], None], kind: str = "", scope: str = ""
    ) -> list[Generation]:
        """The n completions of one request, ready for the engine. kind: see `kind_of_work`; scope: see Sequence.

        Raises CoveyError for a scope that is no string; ValueError for ids beyond the vocabulary, for drafters that do not serve here, and
        for a grammar that cannot be compiled.
        """
        if not isinstance(scope, str):
            raise CoveyError(f"scope={scope!r}: scope must be a string, such as the name of a user; leave it out where all may share")
        params.check_vocabulary(self.target.vocab_size)
        params.check_drafters(self.drafter_names)
        room = self.max_model_len - len(ids)
        params = replace(params, max_tokens=min(params.max_tokens, room), min_tokens=min(params.min_tokens, room))
        request_seed = secrets.randbits(63) if params.seed is None else params.seed
        end_ids = frozenset(params.stop_token_ids) | (frozenset() if params.ignore_eos else self.target.end_ids)
        request_id = f"r{next(_numbers)}"
        made = []
        for index in range(params.n):
            seed = noise.sequence_seed(request_seed, ids, index)
            sequence = Sequence(
                next(_numbers), tuple(ids), params, seed, request_id, index, end_ids, target=self.name, kind=kind, scope=scope
            )
            if params.grammar is not None:
                sequence.constraint = self.grammars.constraint(params.grammar, end_ids)
            text = OutputText(TextStream(self.tokenizer), params.stop)
            made.append(Generation(sequence, text, listener, logprobs=None if params.logprobs is None else []))
        return made
