"""The form that a chat request demands of its answer, from its fields to the answer's own: grammars, tools, calls.

Knows requests and pieces of answers; what the fields come to is for `constraints.py` to say, and how calls are written for `tools/`.

    form = await asked_for(service, "smollm2", body); params = within(params, form); Reading(form).push(chunk)
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from covey.errors import CoveyError
from covey.llm import Chunk
from covey.sampling_params import SamplingParams
from covey.server.answers import ChatAnswer, ToolCall
from covey.server.constraints import Constraints, constrain
from covey.server.errors import invalid, refused
from covey.server.schemas import ChatRequest
from covey.server.service import Service
from covey.tools import CallReader, Delta


async def asked_for(service: Service, target: str, body: ChatRequest) -> Constraints:
    """What the request's fields come to for a target, with its grammar compiled: that may take a while, so it is done in a thread.

    Raises ApiError naming the field.
    """
    if body.response_format is None and body.tools is None and body.tool_choice is None and body.parallel_tool_calls is None:
        return Constraints()
    return await asyncio.get_running_loop().run_in_executor(service.texts, _found, service, target, body)


def _found(service: Service, target: str, body: ChatRequest) -> Constraints:
    served = service.llm.served(target)
    try:
        form = constrain(served.tokenizer, body.response_format, body.tools, body.tool_choice, body.parallel_tool_calls, served.target.name)
    except (CoveyError, ValueError) as error:
        raise refused(error) from None
    if form.grammar is not None:
        try:
            served.grammars.compiled(form.grammar)
        except (CoveyError, ValueError) as error:
            field = "tools" if form.tools else "response_format"
            raise invalid(field, f"{field}: {' '.join(str(error).split())}") from None
    return form


def within(params: SamplingParams, form: Constraints) -> SamplingParams:
    """The same with the form's grammar. Raises ApiError for what does not go with one."""
    if form.grammar is None:
        return params
    try:
        return replace(params, grammar=form.grammar)
    except ValueError as error:
        raise refused(error) from None


class Reading:
    """One answer as its client is told of it: text, and calls where there are tools."""

    def __init__(self, form: Constraints) -> None:
        self._reader: CallReader | None = form.reader()
        self._named = form.named
        self._content: list[str] = []
        self._calls: list[ToolCall] = []

    def push(self, chunk: Chunk) -> dict[str, Any]:
        """The answer goes on with this piece; returns what is new in it, as a streamed delta, empty for nothing."""
        if self._reader is None:
            self._content.append(chunk.text)
            return {"content": chunk.text} if chunk.text else {}
        read = [self._reader.push(chunk.text)] if chunk.text else []
        if chunk.finish_reason is not None:
            read.append(self._reader.flush())
        return self._told(read)

    def reason(self, chunk: Chunk) -> str | None:
        """Why the answer ended, in OpenAI's words: an answer that stops with calls ends for them, unless one was asked for by name."""
        if chunk.finish_reason == "stop" and self._calls and not self._named:
            return "tool_calls"
        return chunk.finish_reason

    @property
    def message(self) -> ChatAnswer:
        """What a whole answer says of it."""
        content = "".join(self._content)
        if not self._calls:
            return {"role": "assistant", "content": content, "refusal": None}
        return {"role": "assistant", "content": content or None, "refusal": None, "tool_calls": self._calls}

    def _told(self, read: list[Delta]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if content := "".join(delta.content for delta in read):
            self._content.append(content)
            told["content"] = content
        calls = [self._call(call.index, call.id, call.name, call.arguments) for delta in read for call in delta.calls]
        return told | ({"tool_calls": calls} if calls else {})

    def _call(self, index: int, id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        """News of a call, which is kept as well."""
        if id is None:
            self._calls[index]["function"]["arguments"] += arguments
            return {"index": index, "function": {"arguments": arguments}}
        self._calls.append({"id": id, "type": "function", "function": {"name": name or "", "arguments": arguments}})
        return {"index": index, "id": id, "type": "function", "function": {"name": name or "", "arguments": arguments}}
