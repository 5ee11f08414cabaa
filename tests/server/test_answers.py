"""How tokens are spelled in logprobs, in vocabularies of every kind."""

from __future__ import annotations

import pytest

from covey.server.answers import Spelled
from tests.model.test_tokenizer import TOKENIZERS


def token_of(tokenizer, piece: str) -> int:
    return next(i for i in range(tokenizer.vocab_size) if tokenizer.token(i) == piece)


@pytest.mark.parametrize(
    ("kind", "piece", "text", "name", "raw"),
    [
        ("bytes", "Ġt", " t", " t", b" t"),
        ("bytes", "Ã", "\ufffd", "bytes:\\xc3", b"\xc3"),
        ("byte fallback", "<0xC3>", "\ufffd", "bytes:\\xc3", b"\xc3"),
        ("byte fallback, stripped", "▁the", " the", " the", b" the"),
        ("sentencepiece", "▁the", " the", " the", b" the"),
        ("sentencepiece", "é", "é", "é", "é".encode()),
        ("words", "don", "don", "don", b"don"),
    ],
)
def test_a_token_is_told_by_text_and_bytes(kind, piece, text, name, raw):
    tokenizer = TOKENIZERS[kind]
    token, spelled = token_of(tokenizer, piece), Spelled(TOKENIZERS[kind])
    assert (spelled.text(token), spelled.name(token), spelled.bytes(token)) == (text, name, raw)
