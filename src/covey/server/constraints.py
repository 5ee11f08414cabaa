"""What a request says of its answer's form: response_format and tools.

The one place where these fields become something that the engine can honour. Text without a form is all that it can so far; the rest is
refused by name.

    check(body)
"""

from __future__ import annotations

from covey.server.errors import ApiError, invalid
from covey.server.schemas import ChatRequest


def check(body: ChatRequest) -> None:
    """Raises ApiError for a form that cannot be honoured."""
    form = body.response_format
    if form is not None and form != {"type": "text"}:
        raise _unsupported("response_format", 'leave it out, or send {"type": "text"}')
    for name in ("tools", "tool_choice", "parallel_tool_calls"):
        if getattr(body, name) is not None:
            raise _unsupported(name, "leave it out")
    for number, message in enumerate(body.messages):
        for name in ("tool_calls", "tool_call_id"):
            if getattr(message, name) is not None:
                raise _unsupported(f"messages[{number}].{name}", "leave it out")


def _unsupported(name: str, fix: str) -> ApiError:
    return invalid(name, f"{name}: this server does not support it; {fix}", "unsupported_field")
