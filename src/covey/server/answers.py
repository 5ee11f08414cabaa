"""What is answered: the shapes of OpenAI's responses, and the parts that both endpoints share.

Knows token ids by a tokenizer; knows nothing of requests or streams.

    usage_of(run); Spelled(tokenizer).entry(logprob)
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from covey.engine.statistics import Statistics
from covey.server.run import Run
from covey.server.schemas import SamplingFields
from covey.types import TokenLogprob

Reason = Literal["stop", "length", "tool_calls"]
_SPACE, _BYTE = "▁", re.compile(r"<0x([0-9A-Fa-f]{2})>")  # as sentencepiece vocabularies write them
_LEAST = -9999.0  # JSON has no minus infinity


class PromptTokens(TypedDict):
    """cached_tokens: those that had been read before, for this key."""

    cached_tokens: int


class Usage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class SpeculativeDecoding(TypedDict):
    """acceptance_histogram[i]: drafts of which exactly i tokens were accepted. num_spec_steps: rounds with a draft."""

    mean_acceptance_length: float
    draft_acceptance_rate: float
    acceptance_histogram: list[int]
    num_spec_steps: int
    num_accepted_draft_tokens: int
    num_draft_tokens: int


class RequestMetrics(TypedDict):
    speculative_decoding: SpeculativeDecoding


class TopLogprob(TypedDict):
    token: str
    logprob: float
    bytes: list[int]


class TokenEntry(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChatLogprobs(TypedDict):
    content: list[TokenEntry]
    refusal: None


class CalledFunction(TypedDict):
    """arguments: a JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatAnswer(TypedDict):
    """content is null where there are calls and no text."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: NotRequired[list[ToolCall]]


class ChatChoice(TypedDict):
    index: int
    message: ChatAnswer
    logprobs: ChatLogprobs | None
    finish_reason: Reason


class ChatCompletion(TypedDict):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    metrics: NotRequired[RequestMetrics]


class CompletionLogprobs(TypedDict):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(TypedDict):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Reason


class Completion(TypedDict):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage
    metrics: NotRequired[RequestMetrics]


def head(kind: str, prefix: str, model: str) -> dict[str, Any]:
    """What every answer, and every piece of a streamed one, begins with."""
    return {"id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": model}


def usage_of(run: Run) -> Usage:
    """Tokens that the engine read and wrote; the end token counts."""
    written = sum(run.completion_tokens)
    return {
        "prompt_tokens": run.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": run.prompt_tokens + written,
        "prompt_tokens_details": {"cached_tokens": run.cached_tokens},
    }


def metrics_of(statistics: Statistics) -> RequestMetrics:
    """What speculation did for one request, over all its completions."""
    found: SpeculativeDecoding = {
        "mean_acceptance_length": statistics.mean_accepted_length,
        "draft_acceptance_rate": statistics.acceptance_rate,
        "acceptance_histogram": statistics.accepted_histogram,
        "num_spec_steps": statistics.num_drafts,
        "num_accepted_draft_tokens": statistics.num_accepted_tokens,
        "num_draft_tokens": statistics.num_draft_tokens,
    }
    return {"speculative_decoding": found}


class Spelled:
    """Tokens as logprobs tell them: their text, and their bytes where the text cannot say them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def bytes(self, token: int) -> bytes:
        if getattr(self._tokenizer, "byte_level", False):
            found: bytes = self._tokenizer.token_bytes(token)
            return found
        single = _BYTE.fullmatch(self._piece(token))
        return bytes.fromhex(single.group(1)) if single else self.text(token).encode()

    def text(self, token: int) -> str:
        """A word's first token has its space, which a decoder that sees it alone would take for the text's beginning."""
        piece = self._piece(token)
        if _SPACE in piece:
            return piece.replace(_SPACE, " ")
        found: str = self._tokenizer.decode([token], skip_special_tokens=False)
        return found

    def _piece(self, token: int) -> str:
        """How the vocabulary spells it, where that says more than decoding it alone."""
        if not hasattr(self._tokenizer, "token") or self._tokenizer.byte_level:
            return ""
        return self._tokenizer.token(token) or ""

    def name(self, token: int) -> str:
        """The text, or its bytes spelled out where it is no whole character: two tokens must not have one name."""
        text = self.text(token)
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes(token)) if "\ufffd" in text else text

    def entry(self, logprob: TokenLogprob) -> TokenEntry:
        """As chat completions tell it."""
        top = [self._top(token, value) for token, value in logprob.top]
        return {**self._top(logprob.token, logprob.logprob), "top_logprobs": top}

    def _top(self, token: int, value: float) -> TopLogprob:
        return {"token": self.text(token), "logprob": told(value), "bytes": list(self.bytes(token))}


def told(logprob: float) -> float:
    """A log probability as JSON can hold it."""
    return max(_LEAST, logprob)


def sums(body: SamplingFields, run: Run) -> dict[str, Any]:
    """What stands at the end of a whole answer: usage, and what speculation did where that was asked for."""
    return {"usage": usage_of(run)} | ({"metrics": metrics_of(run.statistics)} if body.include_metrics else {})


def last_sums(body: SamplingFields, run: Run) -> dict[str, Any]:
    """The same for the last piece of a streamed answer, as far as it was asked for: empty where nothing was."""
    found = sums(body, run)
    if not _wants_usage(body):
        del found["usage"]
    return found


def no_usage_yet(body: SamplingFields) -> dict[str, Any]:
    """Every piece but the last says so, where usage was asked for."""
    return {"usage": None} if _wants_usage(body) else {}


def _wants_usage(body: SamplingFields) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)
