"""From what was asked to token ids: rendering of templates and tokenising, in threads of their own.

Knows limits of length; knows nothing of sampling or answers.

    ids = await encoded(service, "smollm2", [messages])
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from covey.errors import CoveyError
from covey.server.errors import ApiError, invalid, refused
from covey.server.schemas import ChatMessage
from covey.server.service import Service
from covey.tools import Tool
from covey.types import Message, Prompt

_CHARACTERS_A_TOKEN = 32  # a text with more of them is too long whatever is in it, and is not tokenised to find out


def messages_of(given: Sequence[ChatMessage]) -> list[Message]:
    """A conversation as templates take it. Raises ApiError for a message without content that makes no calls either."""
    found: list[Message] = []
    for number, message in enumerate(given):
        text = message.text
        if text is None and not message.tool_calls:
            raise invalid(f"messages[{number}].content", f"messages[{number}].content is required: it must be a text")
        more = {name: value for name in ("tool_calls", "tool_call_id", "name") if (value := getattr(message, name)) is not None}
        found.append({"role": message.role, "content": text, **more})
    return found


async def encoded(service: Service, target: str, prompts: Sequence[Prompt], field: str, tools: Sequence[Tool] = ()) -> list[list[int]]:
    """Token ids of each prompt; tools go with messages. field: what the request calls them.

    Raises ApiError for what does not fit the target.
    """
    loop = asyncio.get_running_loop()
    return [await loop.run_in_executor(service.texts, _encode, service, target, prompt, field, tools) for prompt in prompts]


def _encode(service: Service, target: str, prompt: Prompt, field: str, tools: Sequence[Tool]) -> list[int]:
    limit = service.llm.served(target).max_model_len
    if (characters := _characters(prompt) + sum(len(str(tool)) for tool in tools)) > limit * _CHARACTERS_A_TOKEN:
        raise _too_long(field, f"{characters} characters", limit)
    if isinstance(prompt, list) and len(prompt) >= limit and isinstance(prompt[0], int):
        raise _too_long(field, f"{len(prompt)} tokens", limit)
    try:
        return service.llm.encode(prompt, model=target, tools=tools)
    except (CoveyError, ValueError) as error:
        found = refused(error)
        found.param = found.param if (found.param or "").startswith((field, "tools")) else field
        raise found from None


def _too_long(field: str, size: str, limit: int) -> ApiError:
    return invalid(field, f"{field} has {size}: max_model_len={limit} must leave room for one more; shorten it", "context_length_exceeded")


def _characters(prompt: Prompt) -> int:
    """Of all that a template may write, calls and names, too."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(str(value)) for each in prompt if isinstance(each, dict) for value in each.values() if value is not None)
