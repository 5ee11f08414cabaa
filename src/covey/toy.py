"""A complete tiny target and tokenizer without weights, for tests, documentation and authors of drafters.

Its next token depends on the last two, by a fixed table of random numbers, so that its text is nonsense that
repeats itself now and then. Everything around it (sampling, verification, rows) is what real targets use.

    llm = LLM("toy"); llm.generate("the birds")
"""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from covey.accept import accept, chosen_at
from covey.errors import CoveyError
from covey.model.sampling import choose_tokens, places, token_logprob
from covey.model.tokenizer import vocabulary_fingerprint
from covey.rows import BLOCK_SIZE, RowPool
from covey.tools import Tool, check_messages, for_template
from covey.types import Message, Sequence, Verdict, Work

_WORDS = " the, a, bird, birds, covey, flies, fly, over, under, hill, and, then, it, they, sing, sings, while, small, grey, home"
_CONTEXTS = 211


class ToyTokenizer:
    """Printable ASCII, one id a character, and some whole words; id 0 ends a text. Longest match first."""

    end_id = 0

    def __init__(self) -> None:
        self.pieces = ["<end>", "\n", *(chr(c) for c in range(32, 127)), *_WORDS.split(",")]
        self._ids = {piece: i for i, piece in enumerate(self.pieces) if i}
        self._longest = max(map(len, self._ids))
        self.vocab_size = len(self.pieces)
        self.has_chat_template = True

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        ids, at = [], 0
        while at < len(text):
            for size in range(min(self._longest, len(text) - at), 0, -1):
                if (piece := text[at : at + size]) in self._ids:
                    ids.append(self._ids[piece])
                    at += size
                    break
            else:
                ids.append(self._ids["?"])
                at += 1
        return ids

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return "".join(self.pieces[i] for i in ids if i or not skip_special_tokens)

    def token_bytes(self, token_id: int) -> bytes:
        return self.pieces[token_id].encode()

    def apply_chat(self, messages: list[Message], tools: Seq[Tool] = ()) -> list[int]:
        """Roles and texts; tools and calls as JSON, in the way of the Hermes convention."""
        check_messages(messages)
        lines = [f"tools: {json.dumps([tool.described() for tool in tools])}\n"] if tools else []
        for message in for_template(messages):
            calls = (f"<tool_call>{json.dumps(call['function'])}</tool_call>" for call in message.get("tool_calls", ()))
            lines.append(f"{message['role']}: {message['content']}{''.join(calls)}\n")
        return self.encode("".join(lines) + "assistant:")

    def chat_template(self, with_tools: bool = False) -> str:
        """No template, but what it would say of tool calls."""
        return "<tool_call>{name, arguments}</tool_call>"

    def special_id(self, token: str) -> int | None:
        return None

    @property
    def fingerprint(self) -> str:
        return vocabulary_fingerprint(self.pieces)

    def differences(self, other: object, limit: int = 5) -> list[str]:
        return [] if isinstance(other, ToyTokenizer) else ["one of them is the toy tokenizer"]


class ToyTarget:
    """See types.Target. seed picks the table of logits; sharpness widens the gaps between them."""

    name = "toy"
    device, dtype = "cpu", "float64"
    parameter_bytes = 0
    hidden_size = 0
    branches = True

    def __init__(self, seed: int = 0, sharpness: float = 2.0, max_model_len: int = 4096) -> None:
        self.tokenizer = ToyTokenizer()
        self.vocab_size = self.tokenizer.vocab_size
        self.max_model_len = max_model_len
        self.end_ids = frozenset({self.tokenizer.end_id})
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(_CONTEXTS, self.vocab_size, generator=generator, dtype=torch.float64) * sharpness
        self.table[:, len(self.tokenizer.pieces) - len(_WORDS.split(",")) :] += 2 * sharpness  # words rather than letters
        self.rows = RowPool(0)

    @property
    def bytes_per_token(self) -> int:
        return 0

    def allocate(self, num_blocks: int) -> None:
        self.rows = RowPool(num_blocks)

    def logits(self, tokens: list[int]) -> Tensor:
        """The logits after a text: [V]."""
        before, last = ([0, 0, *tokens])[-2:]
        return self.table[(before * 31 + last * 7) % _CONTEXTS]

    def start(self, sequence: Sequence) -> None:
        self.rows.open(sequence.id)

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> bool:
        """Rows hold nothing here, so that there is nothing to copy."""
        return self.rows.inherit(self.rows[sequence.id], self.rows[of.id], length, len(sequence.tokens), lambda source, destination: None)

    def stop(self, sequence: Sequence) -> None:
        self.rows.close(sequence.id)

    def verify(self, works: list[Work], give: Callable[[Sequence, int, Any], None] | None = None) -> list[Verdict | None]:
        """There are no hidden states to give."""
        for work in works:
            self._read(work)
        return [self._verdict(work) if work.complete else None for work in works]

    def _read(self, work: Work) -> None:
        """Committed tokens alone, of which nothing is kept."""
        row = self.rows[work.sequence.id]
        if row.length != work.start or len(row.blocks) * BLOCK_SIZE < work.start + work.num_tokens:
            raise CoveyError(f"row {row.id} holds {row.length} positions and {len(row.blocks)} blocks: the work does not fit it")
        row.length = work.start + work.count

    def _verdict(self, work: Work) -> Verdict:
        """What becomes of one draft."""
        positions = places(work)
        told = [self.logits([*each.sequence.tokens[-2:], *each.drafted]) for each in positions]
        verdict = accept(work.draft.tokens, choose_tokens(torch.stack(told), positions), work.draft.branches)
        self.rows[work.sequence.id].length += len(verdict.tokens) - 1
        wanted = work.sequence.params.logprobs
        if wanted is None:
            return verdict
        scored = zip(chosen_at(verdict, len(work.draft)), verdict.tokens, strict=True)
        return replace(verdict, logprobs=tuple(token_logprob(told[at], token, wanted) for at, token in scored))

    def close(self) -> None:
        """Nothing to give back."""
