"""Who drafted which token of a streamed answer: what `speculation: {"show": true}` adds to each piece.

Knows Rounds and token ids; knows nothing of requests.

    shown = Shown(tokenizer); piece |= shown.of(index, chunk)
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from covey.llm import Chunk
from covey.model.tokenizer import TextStream


class ShownToken(TypedDict):
    """text: what the token adds to the text, empty for the end and within a character. drafters: who proposed it, where it was drafted
    and accepted; empty for a token of the target's own."""

    text: str
    drafters: list[str]


class Shown:
    """Of one completion."""

    def __init__(self, tokenizer: Any) -> None:
        self._text = TextStream(tokenizer)

    def of(self, index: int, chunk: Chunk) -> dict[str, Any]:
        """The field of a piece, or nothing for a chunk without tokens. drafted: tokens that were verified, accepted or not."""
        if not chunk.token_ids or chunk.round is None:
            return {}
        happened = chunk.round
        named = [*map(list, happened.winners), *([] for _ in chunk.token_ids[happened.won :])]
        tokens: list[ShownToken] = [
            {"text": self._text.push([token]), "drafters": names} for token, names in zip(chunk.token_ids, named, strict=True)
        ]
        return {"covey": {"index": index, "tokens": tokens, "drafted": happened.sent, "accepted": happened.won}}
