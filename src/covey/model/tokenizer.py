"""Text to token ids and back, for whole texts and for streams.

`Tokenizer` wraps a transformers tokenizer; `TextStream` works with anything that has `decode`. Knows nothing of
models.

    tokenizer.encode("hello"); stream = TextStream(tokenizer); shown = stream.push([5, 7]) + stream.flush()
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from copy import copy
from functools import cached_property
from typing import Any, Protocol

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from covey.errors import CoveyError, UnsupportedError
from covey.model.literals import Literals
from covey.tools import Tool, calls_tools, check_messages, for_template, format_of
from covey.types import Message

_BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_INCOMPLETE = "\ufffd"


def vocabulary_fingerprint(tokens: Iterable[str | None]) -> str:
    """SHA-256 of tokens in the order of their ids; None for an id without one."""
    return hashlib.sha256(json.dumps(list(tokens)).encode()).hexdigest()


class Tokenizer:
    """A transformers tokenizer of the fast kind.

    Raises UnsupportedError for a tokenizer that the `tokenizers` library does not run.
    """

    def __init__(self, wrapped: PreTrainedTokenizerBase, name: str = "") -> None:
        backend = getattr(wrapped, "backend_tokenizer", None)
        if backend is None or not hasattr(backend, "decode"):
            raise UnsupportedError(f"target {name!r}: {type(wrapped).__name__} has no tokenizer.json; save it as a fast tokenizer")
        self.name = name
        self._wrapped = wrapped
        self._backend = backend
        self.vocab_size: int = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self.end_id: int | None = wrapped.eos_token_id
        self.special_ids = frozenset(i for i, token in wrapped.added_tokens_decoder.items() if token.special)

    @property
    def has_chat_template(self) -> bool:
        return bool(self._wrapped.chat_template)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text, with the tokens that the model expects around it."""
        try:
            return self._wrapped.encode(text, add_special_tokens=add_special_tokens, verbose=False)
        except (UnicodeEncodeError, TypeError) as error:  # a lone surrogate, which no UTF-8 text can hold
            raise CoveyError("text: it holds half a surrogate pair, which is no character: repair it") from error

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids. Ids that mean nothing are left out; bytes that are no character become U+FFFD."""
        return self._backend.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def apply_chat(self, messages: list[Message], tools: Seq[Tool] = ()) -> list[int]:
        """Token ids of a conversation, up to where the assistant's answer begins; tools are told to the model. What messages and tools
        hold is text, whatever it spells.

        Raises CoveyError for what the chat template refuses, and for tools and calls where it knows none.
        """
        if not self.has_chat_template:
            raise CoveyError(f"messages: {self.name or 'this model'} has no chat template: give a prompt as text, or name a chat model")
        check_messages(messages)
        described: list[Any] | None = [tool.described() for tool in tools] or None
        if described or calls_tools(messages):
            format_of(self.chat_template(bool(described)), self.name)
        try:
            given = [for_template(messages, self.chat_template(bool(described))), described]
            hidden = self._literals.hide(given)
            shown: Any
            told: Any
            shown, told = given if hidden is None else hidden.shown
            text: Any = self._wrapped.apply_chat_template(shown, tools=told, tokenize=False, add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError, KeyError, RecursionError) as error:  # templates also fail in their own Python filters
            reason = " ".join(str(error).split())[:200]
            raise CoveyError(f"messages: the model's chat template refuses them ({reason}): change them") from error
        return self.encode(text, add_special_tokens=False) if hidden is None else hidden.encode(text)

    @cached_property
    def _literals(self) -> Literals:
        return Literals(self._backend, {t.content: i for i, t in self._wrapped.added_tokens_decoder.items() if t.special})

    def chat_template(self, with_tools: bool = False) -> str:
        """The text of the chat template; some models have one of its own for tools. Empty where there is none."""
        return str(self._wrapped.get_chat_template(tools=[{}] if with_tools else None)) if self.has_chat_template else ""

    def special_id(self, token: str) -> int | None:
        """The id of a special token; None where the vocabulary has no such token, or it is part of texts."""
        found = self._backend.token_to_id(token)
        return found if found in self.special_ids else None

    @property
    def serialised(self) -> str:
        """What a tokenizer.json holds, without padding and truncation, which are no part of the vocabulary."""
        plain = copy(self._backend)
        plain.no_padding()
        plain.no_truncation()
        return str(plain.to_str())

    def token(self, token_id: int) -> str | None:
        """How the vocabulary spells a token; None for an id that it does not have."""
        return self._backend.id_to_token(token_id) if 0 <= token_id < self.vocab_size else None

    @cached_property
    def _decoder(self) -> dict[str, Any]:
        return json.loads(self._backend.to_str()).get("decoder") or {}

    @cached_property
    def byte_level(self) -> bool:
        """Every token is a string of bytes, and a text is their sum."""
        return self._decoder.get("type") == "ByteLevel"

    @cached_property
    def byte_fallback(self) -> bool:
        """Some tokens are single bytes, and only whole runs of them become text."""
        return any(part.get("type") == "ByteFallback" for part in [self._decoder, *self._decoder.get("decoders", [])])

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token of a byte-level vocabulary stands for; none for an id that it does not have."""
        spelled = self.token(token_id) or ""
        if all(c in _BYTE_OF for c in spelled):
            return bytes(_BYTE_OF[c] for c in spelled)
        return spelled.encode()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all tokens in the order of their ids: equal where the same ids mean the same."""
        return vocabulary_fingerprint(self.token(i) for i in range(self.vocab_size))

    def differences(self, other: Any, limit: int = 5) -> list[str]:
        """Which ids mean different things to the two: at most `limit` of them, and how many more there are.

        Ids at the end that only one of them has are no difference as long as no text contains them: vocabularies are
        padded.
        """
        if not isinstance(other, Tokenizer):
            return [f"a {type(other).__name__} is not a tokenizer of a Hugging Face model"]
        if self._backend is other._backend:
            return []
        different = [i for i in range(max(self.vocab_size, other.vocab_size)) if not self._agrees(other, i)]
        lines = [f"id {i} is {self.token(i)!r} in one and {other.token(i)!r} in the other" for i in different[:limit]]
        return lines + ([f"and {len(different) - limit} more"] if len(different) > limit else [])

    def _agrees(self, other: Tokenizer, token_id: int) -> bool:
        mine, others = self.token(token_id), other.token(token_id)
        if mine == others:
            return True
        if mine is None or others is None:
            larger, smaller = (other, self) if mine is None else (self, other)
            return token_id >= smaller.vocab_size and not larger._produces(token_id)
        return self.byte_level and other.byte_level and self.token_bytes(token_id) == other.token_bytes(token_id)

    def _produces(self, token_id: int) -> bool:
        """Whether some text contains this token, judged by the token's own text."""
        text = self.decode([token_id], skip_special_tokens=False)
        return token_id in self._backend.encode(text, add_special_tokens=False).ids


def _byte_alphabet() -> dict[str, int]:
    """The printable character that byte-level vocabularies write for each byte (the table of GPT-2)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


_BYTE_OF = _byte_alphabet()


class Decodes(Protocol):
    """All that a stream needs of a tokenizer."""

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str: ...


class TextStream:
    """Text that grows with its tokens. What `push` and `flush` returned, joined, is `decode` of all ids at once.

    Text that later tokens may change (half a character) is held back until it is certain.
    """

    def __init__(self, tokenizer: Decodes) -> None:
        self._pieces: _Pieces = _Bytes(tokenizer) if isinstance(tokenizer, Tokenizer) and tokenizer.byte_level else _Window(tokenizer)

    def push(self, token_ids: Iterable[int]) -> str:
        """The text that these tokens make certain, perhaps none."""
        return self._pieces.push(token_ids)

    def flush(self) -> str:
        """What was held back, as it stands. Only a new stream may be pushed to afterwards."""
        return self._pieces.flush()


class _Pieces(Protocol):
    def push(self, token_ids: Iterable[int]) -> str: ...

    def flush(self) -> str: ...


class _Bytes:
    """Byte-level vocabularies: each token is bytes, and an incremental decoder keeps at most three of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_ids: Iterable[int]) -> str:
        skipped = self._tokenizer.special_ids
        return self._decoder.decode(b"".join(self._tokenizer.token_bytes(i) for i in token_ids if i not in skipped))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class _Window:
    """Any other tokenizer: decode a few tokens before the new ones with and without them, and take what was added.

    The tokens before are needed because many decoders treat the first token differently (they strip its space).
    """

    def __init__(self, tokenizer: Decodes) -> None:
        self._tokenizer = tokenizer
        self._known = tokenizer if isinstance(tokenizer, Tokenizer) else None
        self._window: list[int] = []
        self._before = 0  # how many ids of the window are already told
        self._told = ""  # their text

    def push(self, token_ids: Iterable[int]) -> str:
        new = [i for i in token_ids if self._counts(i)]
        self._window += new
        if not new or self._unfinished(new[-1]):
            return ""
        text = self._tokenizer.decode(self._window)
        if text.endswith(_INCOMPLETE):
            return ""
        return self._tell(text)

    def _counts(self, token_id: int) -> bool:
        """Ids that leave no trace in the text must not part the tokens on either side of them."""
        return self._known is None or (token_id not in self._known.special_ids and self._known.token(token_id) is not None)

    def _unfinished(self, token_id: int) -> bool:
        """A run of byte tokens that goes on may turn out not to be text at all: nothing of it is certain."""
        known = self._known
        return known is not None and known.byte_fallback and _BYTE_PIECE.fullmatch(known.token(token_id) or "") is not None

    def _tell(self, text: str) -> str:
        added = text[len(self._told) :]
        if added:
            self._window = self._window[self._before :]
            self._told = self._tokenizer.decode(self._window)
        else:
            self._told = text
        self._before = len(self._window)
        return added

    def flush(self) -> str:
        return self._tell(self._tokenizer.decode(self._window))
