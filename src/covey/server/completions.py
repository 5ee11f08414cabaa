"""/v1/completions: texts or token ids in, their continuations out, whole or as they grow.

Knows OpenAI's shapes of completions; knows nothing of engines.

    api.include_router(completions.router)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from covey.model.tokenizer import TextStream
from covey.server import answers
from covey.server.asked import Asked, received
from covey.server.errors import invalid
from covey.server.openapi import described
from covey.server.prompts import encoded
from covey.server.run import Run
from covey.server.sampling import sampling, shows
from covey.server.schemas import CompletionRequest
from covey.server.shown import Shown
from covey.server.streaming import EventStream, while_waited_for, within
from covey.types import TokenLogprob

router = APIRouter()


@router.post("/v1/completions", **described(CompletionRequest, answers.Completion, streams=True))
async def completions(request: Request) -> Response:
    """Continue texts. A prompt is taken as it stands: special tokens' spellings in it are special tokens."""
    asked, body = await received(request, CompletionRequest)
    target, config = asked.service.target(body.model), asked.service.config
    if len(body.prompt) > config.max_prompts:
        raise invalid("prompt", f"prompt has {len(body.prompt)} entries: at most {config.max_prompts} may be sent together")
    params = sampling(body, asked.service.defaults, config, body.logprobs)
    asked.note_prompt(body.prompt)
    prompts = await encoded(asked.service, target, list(body.prompt), "prompt")
    told = _Told(body, Run(asked.service, asked.caller, target, prompts, params, params.label), asked)
    if body.stream:
        return EventStream(told.events(), told.run.leave, config.request_seconds)
    try:
        return JSONResponse(await while_waited_for(request.receive, told.whole(config.request_seconds)))
    finally:
        told.run.leave()


class _Told:
    """One run as a client is told of it."""

    def __init__(self, body: CompletionRequest, run: Run, asked: Asked) -> None:
        self.body, self.run = body, run
        tokenizer = asked.service.llm.served(run.target).tokenizer
        self._tokens = [_Tokens(tokenizer) for _ in range(run.choices)]
        self._shown = [Shown(tokenizer) for _ in range(run.choices)] if shows(body) else None

    async def whole(self, seconds: float) -> answers.Completion:
        texts = [""] * self.run.choices
        reasons: list[Any] = [None] * self.run.choices
        logprobs: list[answers.CompletionLogprobs | None] = [None] * self.run.choices
        async with within(seconds), contextlib.aclosing(self.run.pieces()) as pieces:
            async for number, chunk in pieces:
                texts[number] += chunk.text
                reasons[number] = chunk.finish_reason
                if chunk.logprobs:
                    logprobs[number] = _joined(logprobs[number], self._tokens[number].told(chunk.logprobs))
        choices: list[answers.CompletionChoice] = [
            {"index": number, "text": text, "logprobs": logprobs[number], "finish_reason": reasons[number]}
            for number, text in enumerate(texts)
        ]
        answer = {**answers.head("text_completion", "cmpl", self.run.target), "choices": choices, **answers.sums(self.body, self.run)}
        return answer  # type: ignore[return-value]

    async def events(self) -> AsyncGenerator[dict[str, Any], None]:
        head = answers.head("text_completion", "cmpl", self.run.target) | answers.no_usage_yet(self.body)
        async with contextlib.aclosing(self.run.pieces()) as pieces:
            async for number, chunk in pieces:
                shown = self._shown[number].of(number, chunk) if self._shown else {}
                if chunk.text or chunk.logprobs or chunk.finish_reason or shown:
                    told = self._tokens[number].told(chunk.logprobs) if chunk.logprobs else None
                    choice = {"index": number, "text": chunk.text, "logprobs": told, "finish_reason": chunk.finish_reason}
                    yield {**head, "choices": [choice], **shown}
        if last := answers.last_sums(self.body, self.run):
            yield {**head, "choices": [], **last}


class _Tokens:
    """The tokens of one completion as logprobs tell them, with where each begins in the text."""

    def __init__(self, tokenizer: Any) -> None:
        self._spelled, self._text, self._offset = answers.Spelled(tokenizer), TextStream(tokenizer), 0

    def told(self, logprobs: Sequence[TokenLogprob]) -> answers.CompletionLogprobs:
        found: answers.CompletionLogprobs = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for each in logprobs:
            found["tokens"].append(self._spelled.name(each.token))
            found["token_logprobs"].append(answers.told(each.logprob))
            chosen = (each.token, each.logprob)
            found["top_logprobs"].append({self._spelled.name(token): answers.told(value) for token, value in (*each.top, chosen)})
            found["text_offset"].append(self._offset)
            self._offset += len(self._text.push([each.token]))
        return found


def _joined(before: answers.CompletionLogprobs | None, more: answers.CompletionLogprobs) -> answers.CompletionLogprobs:
    if before is None:
        return more
    return {name: before[name] + more[name] for name in more}  # type: ignore[literal-required, return-value]
