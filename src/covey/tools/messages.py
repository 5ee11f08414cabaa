"""Conversations: what a message may hold, and how chat templates want tool calls and their results.

Knows nothing of templates themselves.

    check_messages(messages); rendered = for_template(messages, template)
"""

from __future__ import annotations

import json
from typing import Any

from covey.errors import CoveyError
from covey.types import Message

ROLES = ("system", "developer", "user", "assistant", "tool")
_OWN = {"assistant": {"tool_calls"}, "tool": {"tool_call_id", "name"}}


def check_messages(messages: Any) -> None:
    """Raises CoveyError naming the message and the field."""
    if not isinstance(messages, list) or not messages:
        raise CoveyError("messages: must be a list of at least one {'role': ..., 'content': ...}")
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        if not isinstance(message, dict) or "role" not in message:
            keys = sorted(map(str, message)) if isinstance(message, dict) else type(message).__name__
            raise CoveyError(f"{where}: has {keys}: a message has a role and a content and nothing else")
        role, calls = message["role"], message.get("tool_calls")
        if role not in ROLES:
            raise CoveyError(f"{where}['role']={role!r}: must be one of {', '.join(ROLES)}")
        if not {"role", "content"} <= set(message) <= {"role", "content", *_OWN.get(role, ())}:
            own = "".join(f", {name}" for name in sorted(_OWN.get(role, ())))
            also = f" (of {role}: role, content{own})" if own else ""
            raise CoveyError(f"{where}: has {sorted(map(str, message))}: a message has a role and a content and nothing else{also}")
        if not isinstance(message["content"], str) and not (message["content"] is None and calls):
            raise CoveyError(f"{where}['content'] is a {type(message['content']).__name__}: must be a string")
        if calls is not None:
            _check_calls(calls, f"{where}['tool_calls']")


def _check_calls(calls: Any, where: str) -> None:
    if not isinstance(calls, list):
        raise CoveyError(f"{where}: must be a list of calls")
    for j, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise CoveyError(f"{where}[{j}]: must be {{'id': ..., 'type': 'function', 'function': {{'name': ..., 'arguments': ...}}}}")
        _arguments(function.get("arguments"), f"{where}[{j}]['function']['arguments']")


def _arguments(given: Any, where: str) -> dict[str, Any]:
    """Clients send the arguments of a call back as they got them, as a JSON text; templates want the object."""
    try:
        held = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict):
        raise CoveyError(f"{where}: must be a JSON object, as a text")
    return held


def calls_tools(messages: list[Message]) -> bool:
    """Whether a call was made in this conversation, or one was answered."""
    return any(message.get("tool_calls") or message["role"] == "tool" for message in messages)


def for_template(messages: list[Message], template: str = "") -> list[Message]:
    """Checked messages with the arguments of calls as objects, and text, perhaps none, everywhere.

    A developer is a system to templates that do not know the word: most would leave such a message out without one of their own.
    """
    rendered = [_rendered(message) for message in messages]
    if "developer" in template:
        return rendered
    return [{**message, "role": "system"} if message["role"] == "developer" else message for message in rendered]


def _rendered(message: Message) -> Message:
    rendered = {**message, "content": message["content"] or ""}
    rendered.pop("tool_calls", None)
    if calls := message.get("tool_calls"):
        rendered["tool_calls"] = [{**call, "type": "function", "function": _function(call["function"])} for call in calls]
    return rendered


def _function(called: dict[str, Any]) -> dict[str, Any]:
    return {**called, "arguments": _arguments(called["arguments"], "arguments")}
