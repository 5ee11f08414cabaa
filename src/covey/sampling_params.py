"""How one request is sampled: the options, their ranges, and what is refused. Knows nothing of models.

SamplingParams(temperature=0.8, top_p=0.95, seed=1, max_tokens=64)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


def _refuse(name: str, value: object, must: str) -> None:
    raise ValueError(f"{name}={value!r}: {name} must be {must}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


GRAMMAR_KINDS = ("json_object", "json_schema", "regex", "lark")
_GRAMMAR_CHARACTERS = 1 << 18


@dataclass(frozen=True)
class Grammar:
    """What an answer must look like: any JSON object, JSON of a schema, a regular expression, or a grammar in Lark's notation.

    text is the schema, the expression or the grammar; empty for json_object. The shape is checked here; whether the grammar
    can be compiled is known to the target's vocabulary, and said when the request is made. Raises ValueError naming the field.
    """

    kind: str
    text: str = ""

    def __post_init__(self) -> None:
        if self.kind not in GRAMMAR_KINDS:
            raise ValueError(f"grammar: kind {self.kind!r} is not known: it must be one of {', '.join(GRAMMAR_KINDS)}")
        if not isinstance(self.text, str) or len(self.text) > _GRAMMAR_CHARACTERS:
            raise ValueError(f"grammar: the text of a {self.kind} must be a string of at most {_GRAMMAR_CHARACTERS} characters")
        if bool(self.text.strip()) is (self.kind == "json_object"):
            raise ValueError(f"grammar: {self.kind} " + ("takes no text: leave it out" if self.text else "has no text: give it one"))
        if self.kind == "json_schema":
            self._check_schema()

    def _check_schema(self) -> None:
        try:
            schema = json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"grammar: the json_schema is not JSON ({error}): mend it") from None
        if not isinstance(schema, dict):
            raise ValueError(f"grammar: the json_schema is a JSON {type(schema).__name__}: it must be an object")

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any]) -> Grammar:
        """From a schema as Python holds it."""
        try:
            return cls("json_schema", json.dumps(schema))
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"grammar: the json_schema is not JSON ({error}): mend it") from None

    @classmethod
    def of(cls, written: object) -> Grammar:
        """As files write it: "json_object", or one of {"json_schema": {...}}, {"regex": "..."}, {"lark": "..."}."""
        if written == "json_object":
            return cls("json_object")
        if not isinstance(written, dict) or len(written) != 1:
            raise ValueError(f'grammar={written!r}: grammar must be "json_object", or one kind and its text, as in {{"regex": "yes|no"}}')
        ((kind, text),) = written.items()
        return cls.json_schema(text) if kind == "json_schema" and not isinstance(text, str) else cls(kind, text)


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How one request is sampled. Every field is exact under speculation.

    The target's logits are processed in this order: repetition, presence and frequency penalties, logit_bias,
    min_tokens (end tokens are masked), grammar (what it forbids is masked), temperature, top_k, top_p, min_p.

    temperature: 0 is greedy. top_k: 0 keeps all. top_p in (0, 1]. min_p in [0, 1], relative to the likeliest token.
    presence_penalty and frequency_penalty look at the output, repetition_penalty at prompt and output.
    logit_bias: token id -> added to the logit, -100..100. seed: None draws one. n: completions per prompt.
    stop: strings that end the text (and are left out of it). stop_token_ids: ids that end it (kept in token_ids,
    left out of the text). ignore_eos: go on after the model's own end tokens. min_tokens: neither end tokens nor
    stop strings count before so many tokens. logprobs: None for none, 0 for the chosen token's, m for the m best
    too; of the target's distribution before any processing. speculation: {"num_tokens": k} caps the draft length
    of this request, 0 is plain decoding; {"drafters": [names]} lets only these draft for it, [] nobody. label: the
    kind of work, in the caller's own words; a collective keeps its members' records by it, and without one by the system
    prompt, if there is one. grammar: what the answer must look like, a Grammar or what `Grammar.of` reads; it says itself
    when the answer may end, so neither min_tokens nor ignore_eos go with it.

    Raises ValueError naming field, value and range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    seed: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    max_tokens: int = 256
    min_tokens: int = 0
    logprobs: int | None = None
    speculation: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    grammar: Grammar | None = None

    def __post_init__(self) -> None:
        self._normalise()
        self._check_floats()
        self._check_integers()
        self._check_collections()
        self._check_grammar()

    def _normalise(self) -> None:
        """Accept the shapes people write: one stop string, lists for tuples, JSON's string keys."""
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        for name in ("stop", "stop_token_ids"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("logit_bias", "speculation"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, {})
        if isinstance(self.grammar, str | dict):
            object.__setattr__(self, "grammar", Grammar.of(self.grammar))
        if isinstance(self.logit_bias, dict):
            keys = {int(k) if isinstance(k, str) and k.isdigit() else k: v for k, v in self.logit_bias.items()}
            object.__setattr__(self, "logit_bias", keys)

    def _check_floats(self) -> None:
        ranges = {
            "temperature": (0.0, 100.0),
            "top_p": (0.0, 1.0),
            "min_p": (0.0, 1.0),
            "presence_penalty": (-2.0, 2.0),
            "frequency_penalty": (-2.0, 2.0),
            "repetition_penalty": (0.0, 10.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            open_low = name in ("top_p", "repetition_penalty")
            if not _is_number(value) or not low <= value <= high or (open_low and value == low):
                _refuse(name, value, f"a number {'above' if open_low else 'from'} {low:g} {'and at most' if open_low else 'to'} {high:g}")
        if 0 < self.temperature < 1e-3:
            _refuse("temperature", self.temperature, "0 (greedy) or at least 0.001")

    def _check_integers(self) -> None:
        ranges = {
            "top_k": (0, 1 << 31),
            "n": (1, 128),
            "max_tokens": (1, 1 << 31),
            "min_tokens": (0, self.max_tokens if _is_int(self.max_tokens) else 0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not _is_int(value) or not low <= value <= high:
                limit = "max_tokens" if name == "min_tokens" else str(high)
                _refuse(name, value, f"a whole number from {low} to {limit}")
        if self.seed is not None and (not _is_int(self.seed) or not 0 <= self.seed < 1 << 64):
            _refuse("seed", self.seed, "None or a whole number from 0 to 2**64 - 1")
        if self.logprobs is not None and (not _is_int(self.logprobs) or not 0 <= self.logprobs <= 20):
            _refuse("logprobs", self.logprobs, "None or a whole number from 0 to 20")
        if not isinstance(self.ignore_eos, bool):
            _refuse("ignore_eos", self.ignore_eos, "true or false")

    def _check_collections(self) -> None:
        if not isinstance(self.label, str) or len(self.label) > 256:
            _refuse("label", self.label, "a text of at most 256 characters")
        if not isinstance(self.stop, tuple) or len(self.stop) > 16:
            _refuse("stop", self.stop, "a string or at most 16 strings")
        for text in self.stop:
            if not isinstance(text, str) or not 0 < len(text) <= 1024:
                _refuse("stop", text, "made of strings of 1 to 1024 characters")
        if not isinstance(self.stop_token_ids, tuple) or len(self.stop_token_ids) > 1024:
            _refuse("stop_token_ids", self.stop_token_ids, "at most 1024 token ids")
        for token in self.stop_token_ids:
            if not _is_int(token) or token < 0:
                _refuse("stop_token_ids", token, "made of token ids, whole numbers from 0")
        if not isinstance(self.logit_bias, dict) or len(self.logit_bias) > 1024:
            _refuse("logit_bias", self.logit_bias, "at most 1024 pairs of token id and bias")
        for token, bias in self.logit_bias.items():
            if not _is_int(token) or token < 0:
                _refuse("logit_bias", token, "keyed by token ids, whole numbers from 0")
            if not _is_number(bias) or not -100 <= bias <= 100:
                _refuse("logit_bias", bias, "made of numbers from -100 to 100")
        self._check_speculation()

    def _check_grammar(self) -> None:
        if self.grammar is None:
            return
        if not isinstance(self.grammar, Grammar):
            _refuse("grammar", self.grammar, "a Grammar")
        if self.min_tokens:
            _refuse("min_tokens", self.min_tokens, "0 with a grammar, which says itself when the answer may end")
        if self.ignore_eos:
            _refuse("ignore_eos", self.ignore_eos, "false with a grammar, which says itself when the answer may end")

    def _check_speculation(self) -> None:
        given = self.speculation
        if not isinstance(given, dict) or set(given) - {"num_tokens", "drafters"}:
            _refuse("speculation", given, 'made of "num_tokens" and "drafters"')
        if not _is_int(given.get("num_tokens", 0)) or given.get("num_tokens", 0) < 0:
            _refuse("speculation", given, '{"num_tokens": k} with k from 0')
        names = given.get("drafters", [])
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            _refuse("speculation", given, '{"drafters": [...]} with names of drafters')

    def check_drafters(self, names: Iterable[str]) -> None:
        """Raise ValueError for a drafter that does not serve the target."""
        names = list(names)
        for name in self.speculation.get("drafters", ()):
            if name not in names:
                known = f"some of {', '.join(names)}, or none" if names else "[], for nobody drafts for this target"
                _refuse("speculation", self.speculation, f'{{"drafters": [...]}} with {known}')

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise ValueError for a token id that the target does not have."""
        for name, ids in (("logit_bias", self.logit_bias), ("stop_token_ids", self.stop_token_ids)):
            for token in ids:
                if token >= vocab_size:
                    _refuse(name, token, f"made of token ids below the vocabulary size {vocab_size}")

    @property
    def by_score(self) -> bool:
        """True when what is done to a token depends on its score alone, and not on which one it is."""
        return (
            self.repetition_penalty == 1
            and not (self.presence_penalty or self.frequency_penalty or self.logit_bias or self.min_tokens)
            and self.grammar is None
        )

    @property
    def plain_greedy(self) -> bool:
        """True when the chosen token is simply the argmax of the logits at every position."""
        return self.temperature == 0 and self.by_score
