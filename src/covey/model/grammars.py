"""Grammars as masks over a target's vocabulary: compiled by llguidance, walked along each sequence's output.

Knows nothing of logits, drafts or acceptance: it is asked what may follow an output, and answers the same whatever it was
asked before.

    constraint = Grammars(tokenizer, vocab_size, end_ids).constraint(Grammar("regex", "yes|no"), end_ids)
    constraint.allowed(output=[])
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

from covey.errors import CoveyError, UnsupportedError
from covey.model.tokenizer import Tokenizer
from covey.sampling_params import Grammar

_COMPILED = 64  # a compiled grammar is small until it is walked, and only copies of it are
_MASKS = 64
_REASON = 400
# A schema allows white space between any two of its tokens; without a bound weak models write nothing else. A schema's own
# "x-guidance" has precedence.
_JSON = {"whitespace_pattern": r"[ \n\r\t]{1,32}"}


class Grammars:
    """Compiles grammars for one vocabulary, and remembers those that were asked for last. Any thread may ask.

    Raises UnsupportedError for a vocabulary that llguidance cannot read, CoveyError where llguidance is not installed.
    """

    def __init__(self, tokenizer: Any, vocab_size: int, end_ids: frozenset[int]) -> None:
        self._tokenizer, self._vocab_size, self._end_ids = tokenizer, vocab_size, end_ids
        self._vocabulary: Any = None
        self._compiled: OrderedDict[Grammar, Any] = OrderedDict()
        self._lock = threading.Lock()

    def constraint(self, grammar: Grammar, end_ids: frozenset[int]) -> GrammarConstraint:
        """For one sequence that these tokens end. Raises ValueError naming the field for a grammar that cannot be compiled."""
        return GrammarConstraint(self.compiled(grammar), self._end_ids, end_ids)

    def compiled(self, grammar: Grammar) -> Any:
        """The matcher of a grammar at its beginning; not to be advanced, only copied. Raises as `constraint`."""
        with self._lock:
            if grammar in self._compiled:
                self._compiled.move_to_end(grammar)
                return self._compiled[grammar]
            vocabulary = self._read_vocabulary()
        made = _compile(grammar, vocabulary)  # without the lock: others need not wait for a large one
        with self._lock:
            self._compiled[grammar] = made
            while len(self._compiled) > _COMPILED:
                self._compiled.popitem(last=False)
        return made

    def _read_vocabulary(self) -> Any:
        if self._vocabulary is None:
            if not self._end_ids:
                raise UnsupportedError("grammar: the target has no end token, so no answer could end: leave the grammar out")
            self._vocabulary = _vocabulary(self._tokenizer, self._vocab_size, sorted(self._end_ids))
        return self._vocabulary


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError:
        raise CoveyError("grammar: llguidance is not installed: pip install 'covey[grammar]'") from None
    return llguidance


def _vocabulary(tokenizer: Any, vocab_size: int, end_ids: list[int]) -> Any:
    """How llguidance reads a vocabulary: a fast tokenizer by itself, any other by the bytes of each token."""
    guidance = _llguidance()
    if isinstance(tokenizer, Tokenizer):
        spelled: Any = tokenizer.serialised
    elif hasattr(tokenizer, "token_bytes"):
        spelled = guidance.TokenizerWrapper(_Spelled(tokenizer, vocab_size, end_ids))
    else:
        raise UnsupportedError(f"grammar: a {type(tokenizer).__name__} does not say which bytes its tokens are (token_bytes)")
    try:
        return guidance.LLTokenizer(spelled, n_vocab=vocab_size, eos_token=end_ids)
    except ValueError as error:
        raise UnsupportedError(f"grammar: llguidance cannot read the target's vocabulary ({_line(error)}): leave the grammar out") from None


class _Spelled:
    """A tokenizer with `encode` and `token_bytes`, in the words of llguidance."""

    bos_token_id = None

    def __init__(self, tokenizer: Any, vocab_size: int, end_ids: list[int]) -> None:
        self._encode = tokenizer.encode
        self.eos_token_id = end_ids[0]
        self.special_token_ids = end_ids
        self.tokens = [b"" if i in end_ids else tokenizer.token_bytes(i) for i in range(vocab_size)]

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text if isinstance(text, str) else text.decode("utf-8", "replace"))


def _compile(grammar: Grammar, vocabulary: Any) -> Any:
    guidance = _llguidance()
    source = {
        "json_object": lambda: guidance.LLMatcher.grammar_from_json_schema('{"type": "object"}', defaults=_JSON),
        "json_schema": lambda: guidance.LLMatcher.grammar_from_json_schema(grammar.text, defaults=_JSON),
        "regex": lambda: guidance.LLMatcher.grammar_from_regex(grammar.text),
        "lark": lambda: guidance.LLMatcher.grammar_from_lark(grammar.text),
    }[grammar.kind]
    try:
        matcher = guidance.LLMatcher(vocabulary, source(), log_level=0)
    except ValueError as error:
        raise ValueError(f"grammar: the {grammar.kind} cannot be used ({_line(error)}): mend it") from None
    if matcher.is_error():
        raise ValueError(f"grammar: the {grammar.kind} cannot be used ({_line(matcher.get_error())}): mend it")
    return matcher


def _line(reason: object) -> str:
    return " ".join(str(reason).split())[:_REASON]


@dataclass(frozen=True)
class _Mask:
    allowed: bytes
    failure: str | None


class GrammarConstraint:
    """See types.Constraint. Walks back where it is asked about another continuation; drafters and target may ask from two threads.

    An end token may come exactly where the grammar may end. Where it may not, and no token of the vocabulary can go on, only end
    tokens are allowed, and `failure` says why.
    """

    def __init__(self, compiled: Any, special_ends: frozenset[int], end_ids: frozenset[int]) -> None:
        self._compiled = compiled
        self._special_ends = special_ends
        self._end_ids = end_ids
        self._lock = threading.Lock()
        self._restart()

    def allowed(self, output: Seq[int]) -> bytes | None:
        found = self._find(output)
        return None if found is None else found.allowed

    def permitted(self, output: Seq[int], tokens: Seq[int]) -> int:
        before = list(output)
        for count, token in enumerate(tokens):
            allowed = self.allowed(before)
            if allowed is None or not _has(allowed, token):
                return count
            before.append(token)
        return len(tokens)

    def failure(self, output: Seq[int]) -> str | None:
        found = self._find(output)
        return None if found is None else found.failure

    def _find(self, output: Seq[int]) -> _Mask | None:
        with self._lock:
            follows = self._walk(list(output))
            if not self._matcher.is_error():
                found = self._mask() if follows else None
            if self._matcher.is_error():  # a limit of llguidance's; nothing leads out of it
                found = self._dead_end(self._matcher.get_error())
                self._restart()
            return found

    def _restart(self) -> None:
        self._matcher = self._compiled.deep_copy()
        self._read: list[int] = []
        self._masks: dict[int, _Mask] = {}  # by the number of tokens read

    def _walk(self, output: list[int]) -> bool:
        """Bring the matcher to the end of this output; False where the grammar does not allow it, or it has ended."""
        kept = min(len(self._read), len(output))
        while self._read[:kept] != output[:kept]:
            kept -= 1
        self._back(len(self._read) - kept)
        for token in output[len(self._read) :]:
            if token in self._special_ends or self._matcher.try_consume_tokens([token]) != 1:
                return False
            self._read.append(token)
        return True

    def _back(self, count: int) -> None:
        if not count:
            return
        if not self._matcher.rollback(count):
            self._restart()
            return
        for depth in range(len(self._read) - count + 1, len(self._read) + 1):
            self._masks.pop(depth, None)
        del self._read[-count:]

    def _mask(self) -> _Mask:
        depth = len(self._read)
        if depth not in self._masks:
            self._masks[depth] = self._compute()
            self._masks.pop(depth - _MASKS, None)
        return self._masks[depth]

    def _compute(self) -> _Mask:
        bits = bytearray(self._matcher.compute_bitmask())
        for token in self._special_ends:
            _clear(bits, token)
        if self._matcher.is_accepting():
            for token in self._end_ids:
                _set(bits, token)
        elif not self._goes_on(bits):
            return self._dead_end("no token of the target's vocabulary can follow")
        return _Mask(bytes(bits), None)

    def _dead_end(self, why: str) -> _Mask:
        bits = bytearray(max(self._end_ids) // 8 + 1)
        for token in self._end_ids:
            _set(bits, token)
        return _Mask(bytes(bits), f"grammar: the answer cannot be completed ({_line(why)}): change the grammar")

    def _goes_on(self, bits: bytearray) -> bool:
        """Whether any token may follow. A lone one is tried: a text that is forced is spelled by the tokenizer, which writes an
        unknown token for what it cannot spell."""
        held = int.from_bytes(bits, "little")
        if held.bit_count() != 1:
            return held != 0
        return bool(self._matcher.validate_tokens([held.bit_length() - 1]) == 1)


def _has(bits: bytes, token: int) -> bool:
    return token >> 3 < len(bits) and bool(bits[token >> 3] >> (token & 7) & 1)


def _set(bits: bytearray, token: int) -> None:
    bits[token >> 3] |= 1 << (token & 7)


def _clear(bits: bytearray, token: int) -> None:
    bits[token >> 3] &= ~(1 << (token & 7)) & 255
