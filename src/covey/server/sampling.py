"""From the fields of a request to SamplingParams: names, defaults, and what this server allows.

What a request leaves out is what the operator set under [sampling]. Knows nothing of prompts or answers.

    params = sampling(body, defaults, config, logprobs=None)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from covey.config import ServerConfig
from covey.sampling_params import SamplingParams
from covey.server.errors import invalid, refused
from covey.server.schemas import ChatRequest, SamplingFields

_SAME = (
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "logit_bias",
    "seed",
    "n",
    "stop",
    "stop_token_ids",
    "ignore_eos",
    "max_tokens",
    "min_tokens",
    "label",
)


def sampling(body: SamplingFields, defaults: SamplingParams, config: ServerConfig, logprobs: int | None) -> SamplingParams:
    """Raises ApiError naming the field as the request calls it."""
    given: dict[str, Any] = {name: value for name in _SAME if (value := getattr(body, name)) is not None}
    names: dict[str, str] = {"logprobs": "top_logprobs"} if isinstance(body, ChatRequest) else {}
    if isinstance(body, ChatRequest) and body.max_completion_tokens is not None:
        if body.max_tokens not in (None, body.max_completion_tokens):
            raise invalid("max_tokens", f"max_tokens={body.max_tokens}: max_completion_tokens says otherwise; send one of them")
        given["max_tokens"] = body.max_completion_tokens
        names["max_tokens"] = "max_completion_tokens"
    if body.speculation is not None:
        given["speculation"] = body.speculation.model_dump(exclude_none=True, exclude={"show"})
    if body.n is not None and body.n > config.max_n:
        raise invalid("n", f"n={body.n}: n must be a whole number from 1 to {config.max_n}")
    if body.stream_options is not None and not body.stream:
        raise invalid("stream_options", "stream_options: they are for streams alone; leave them out, or send stream: true")
    if shows(body) and not body.stream:
        raise invalid("speculation.show", "speculation.show: it is for streams alone; leave it out, or send stream: true")
    try:
        return replace(defaults, **given, logprobs=logprobs)
    except ValueError as error:
        raise refused(error, names) from None


def shows(body: SamplingFields) -> bool:
    """Whether a stream is to tell who drafted what."""
    return body.speculation is not None and bool(body.speculation.show)


def chat_logprobs(body: ChatRequest) -> int | None:
    """How many likeliest tokens are told beside the chosen one; None for no logprobs at all."""
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs is not None:
        raise invalid("top_logprobs", f"top_logprobs={body.top_logprobs}: send logprobs: true, too")
    return None
