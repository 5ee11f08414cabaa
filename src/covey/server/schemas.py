"""What may be asked: the bodies of requests, field by field. What is not here is refused by name.

Shapes only: ranges of sampling parameters are SamplingParams' own. A field that is null counts as not given.

    ChatRequest.model_validate({"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}]})
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

_MOST_KEYS = 64
_MOST_IDS = 1 << 20
_TOKEN_ID = re.compile(r"[0-9]{1,10}")


class Strict(BaseModel):
    """No conversions and no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few(cls, data: Any) -> Any:
        """A complaint for each of a million fields would take its time."""
        if isinstance(data, dict) and len(data) > _MOST_KEYS:
            raise ValueError(f"has {len(data)} fields: at most {_MOST_KEYS} are looked at")
        return data


def _biases(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) > 1024:
            raise ValueError(f"has {len(value)} entries: at most 1024 are allowed")
        if wrong := [key for key in value if not _TOKEN_ID.fullmatch(key)]:
            raise ValueError(f"has the key {wrong[0][:40]!r}: keys must be token ids")
    return value


def _metadata(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > 16:
        raise ValueError(f"has {len(value)} entries: at most 16 are allowed")
    return value


def _prompts(value: Any) -> list[str] | list[list[int]]:
    """One prompt or several, as texts or as token ids: always several."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise ValueError("prompt must be a text, a list of token ids, or a list of such")
    if len(value) > _MOST_IDS:
        raise ValueError(f"prompt has {len(value)} entries: at most {_MOST_IDS} are looked at")
    if all(type(each) is int for each in value):
        return [value]
    if all(isinstance(each, str) for each in value) or all(_is_ids(each) for each in value):
        return value
    raise ValueError("prompt must be a text, a list of token ids, or a list of such")


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_PROMPT = {"anyOf": [{"type": "string"}, _TEXTS, _IDS, {"type": "array", "items": _IDS, "minItems": 1}]}
Prompts = Annotated[list[str] | list[list[int]], PlainValidator(_prompts), WithJsonSchema(_PROMPT)]
Biases = Annotated[dict[str, float], BeforeValidator(_biases)]
Metadata = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=512)]],
    BeforeValidator(_metadata),
]
Strings = Annotated[list[str], Field(fail_fast=True, min_length=0, max_length=16)]
TokenIds = Annotated[list[int], Field(fail_fast=True, min_length=0, max_length=1024)]


class StreamOptions(Strict):
    include_usage: bool | None = None


class Speculation(Strict):
    """num_tokens: the longest draft for this request; 0 is plain decoding. drafters: only these may draft for it. show: tell with each
    piece of a stream who drafted what."""

    num_tokens: int | None = None
    drafters: Annotated[list[str], Field(fail_fast=True, max_length=16)] | None = None
    show: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Speculation:
        if self.num_tokens is None and self.drafters is None and self.show is None:
            raise ValueError("must have num_tokens, drafters or show")
        return self


class SamplingFields(Strict):
    """What both endpoints take. The last group is covey's own; user, metadata and safety_identifier are accepted and not used."""

    model: str | None = None
    frequency_penalty: float | None = None
    logit_bias: Biases | None = None
    max_tokens: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | Strings | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    user: str | None = None
    metadata: Metadata | None = None
    safety_identifier: str | None = None

    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    stop_token_ids: TokenIds | None = None
    label: str | None = None
    speculation: Speculation | None = None
    include_metrics: bool | None = None


class TextPart(Strict):
    type: Literal["text"]
    text: str


class ChatMessage(Strict):
    """tool_calls, tool_call_id and name belong to tools, and are checked with them (tools/messages.py)."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=1024)] | None = None
    tool_calls: Any = None
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str | None:
        return self.content if self.content is None or isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(SamplingFields):
    messages: Annotated[list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=4096)]
    logprobs: bool | None = None
    top_logprobs: int | None = None
    max_completion_tokens: int | None = None
    response_format: Annotated[dict[str, Any] | None, Field(description="text, json_object or json_schema")] = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None


class CompletionRequest(SamplingFields):
    prompt: Prompts
    logprobs: int | None = None
