"""/v1/chat/completions: a conversation in, an answer out, whole or as it grows.

Knows OpenAI's shapes of chat; knows nothing of engines.

    api.include_router(chat.router)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from covey.engine.served import kind_of_work
from covey.server import answers, forms
from covey.server.asked import Asked, received
from covey.server.constraints import Constraints
from covey.server.openapi import described
from covey.server.prompts import encoded, messages_of
from covey.server.run import Run
from covey.server.sampling import chat_logprobs, sampling, shows
from covey.server.schemas import ChatRequest
from covey.server.shown import Shown
from covey.server.streaming import EventStream, while_waited_for, within
from covey.types import TokenLogprob

router = APIRouter()


@router.post("/v1/chat/completions", **described(ChatRequest, answers.ChatCompletion, streams=True))
async def chat(request: Request) -> Response:
    """Continue a conversation."""
    asked, body = await received(request, ChatRequest)
    target = asked.service.target(body.model)
    params = sampling(body, asked.service.defaults, asked.service.config, chat_logprobs(body))
    form = await forms.asked_for(asked.service, target, body)
    params = forms.within(params, form)
    messages = messages_of(body.messages)
    asked.note_prompt(messages)
    prompts = await encoded(asked.service, target, [messages], "messages", form.tools)
    told = _Told(body, Run(asked.service, asked.caller, target, prompts, params, kind_of_work(messages, params)), asked, form)
    seconds = asked.service.config.request_seconds
    if body.stream:
        return EventStream(told.events(), told.run.leave, seconds)
    try:
        return JSONResponse(await while_waited_for(request.receive, told.whole(seconds)))
    finally:
        told.run.leave()


class _Told:
    """One run as a client is told of it."""

    def __init__(self, body: ChatRequest, run: Run, asked: Asked, form: Constraints) -> None:
        self.body, self.run = body, run
        self._readings = [forms.Reading(form) for _ in range(run.choices)]
        tokenizer = asked.service.llm.served(run.target).tokenizer
        self._spelled = answers.Spelled(tokenizer)
        self._shown = [Shown(tokenizer) for _ in range(run.choices)] if shows(body) else None

    async def whole(self, seconds: float) -> answers.ChatCompletion:
        reasons: list[Any] = [None] * self.run.choices
        entries: list[list[answers.TokenEntry]] = [[] for _ in reasons]
        async with within(seconds), contextlib.aclosing(self.run.pieces()) as pieces:
            async for number, chunk in pieces:
                self._readings[number].push(chunk)
                reasons[number] = self._readings[number].reason(chunk)
                entries[number] += self._entries(chunk.logprobs or ())
        choices: list[answers.ChatChoice] = [
            {
                "index": number,
                "message": reading.message,
                "logprobs": {"content": entries[number], "refusal": None} if self.body.logprobs else None,
                "finish_reason": reasons[number],
            }
            for number, reading in enumerate(self._readings)
        ]
        answer = {**answers.head("chat.completion", "chatcmpl", self.run.target), "choices": choices, **answers.sums(self.body, self.run)}
        return answer  # type: ignore[return-value]

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        head = answers.head("chat.completion.chunk", "chatcmpl", self.run.target) | answers.no_usage_yet(self.body)
        begun: set[int] = set()
        async with contextlib.aclosing(self.run.pieces()) as pieces:
            async for number, chunk in pieces:
                if number not in begun:
                    begun.add(number)
                    yield {**head, "choices": [self._delta(number, {"role": "assistant", "content": ""})]}
                reading = self._readings[number]
                shown = self._shown[number].of(number, chunk) if self._shown else {}
                if (delta := reading.push(chunk)) or chunk.logprobs or shown:
                    yield {**head, "choices": [self._delta(number, delta or {"content": ""}, chunk.logprobs)], **shown}
                if chunk.finish_reason is not None:
                    yield {**head, "choices": [{**self._delta(number, {}), "finish_reason": reading.reason(chunk)}]}
        if last := answers.last_sums(self.body, self.run):
            yield {**head, "choices": [], **last}

    def _delta(self, number: int, delta: dict[str, Any], logprobs: Sequence[TokenLogprob] | None = None) -> dict[str, Any]:
        told = {"content": self._entries(logprobs), "refusal": None} if logprobs else None
        return {"index": number, "delta": delta, "logprobs": told, "finish_reason": None}

    def _entries(self, logprobs: Sequence[TokenLogprob]) -> list[answers.TokenEntry]:
        return [self._spelled.entry(logprob) for logprob in logprobs]
