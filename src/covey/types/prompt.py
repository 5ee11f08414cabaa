"""What an answer is asked for with: text, token ids, or the messages of a conversation.

messages: list[Message] = [{"role": "user", "content": "Hello"}]
"""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]  # role and content; tool_calls and tool_call_id where tools are used
Prompt = str | list[int] | list[Message]
