"""The clients of serving_load.py, in a process of their own: what they ask, when they leave, and what they see of the answers.

    python benchmarks/serving_clients.py --url http://127.0.0.1:8000 --model toy --asked asked.json --warm 5 --seconds 60 --short 200

Three phases: streams that are not counted, to warm up; streams; short requests of which some leave and some are bad. A line of JSON is
printed as each ends. asked.json holds what is asked, as [[task, messages], ...]. With --heartbeat it asks nothing and only notes how late
an idle event loop is on this machine, until its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import re
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import httpx

STREAMS, LEAVE, BAD = 64, 0.30, 0.05
STREAM_TOKENS, SHORT_TOKENS, WARM_TOKENS = 128, 8, 16
PAUSE = 0.01
SHORT = [
    ("chat", "Why do birds fly in flocks?"),
    ("code", "Write a Python function that merges two sorted lists."),
    ("summarization", "Summarise: The covey rose from the stubble, circled over the hill, and came down again behind the hedge. " * 2),
    ("math", "A train leaves at nine and travels 180 kilometres in two hours. How fast is it?"),
    ("translation", "Translate into French: The small grey bird sings while it flies home."),
]


def percentiles(seconds: Any) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds) or [0.0]
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
    return {name: round(value * 1000, 2) for name, value in at.items()}


async def heartbeat(late: array[float]) -> None:
    """How late an event loop is, again and again, until it is cancelled."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(PAUSE)
        late.append(max(0.0, time.perf_counter() - began - PAUSE))


class Clients:
    """Everything that is asked in one phase, and how it was answered."""

    def __init__(self, url: str, model: str, together: int, asked: list[tuple[str, list[dict[str, str]]]], seed: int) -> None:
        self.url, self.model, self.together, self.asked, self.random = url, model, together, asked, random.Random(seed)
        self.statuses: dict[str, int] = {}
        self.first, self.between, self.per_token = array("d"), array("d"), array("d")
        self.unfinished = 0

    def count(self, what: str) -> None:
        self.statuses[what] = self.statuses.get(what, 0) + 1

    def body(self, max_tokens: int) -> dict[str, Any]:
        task, messages = self.random.choice(self.asked)
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": self.random.choice([0, 0.7]),
            "stream": True,
            "stream_options": {"include_usage": True},
            "label": task,
        }

    async def ask(self, http: httpx.AsyncClient, body: Any, leave_after: int | None = None) -> None:
        """One request. leave_after: so many pieces with text."""
        began = time.perf_counter()
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            self.count(str(answer.status_code))
            if answer.status_code == 200:
                await self.read(answer, began, leave_after)
                return
            await answer.aread()
        if answer.status_code == 503:
            await asyncio.sleep(float(answer.headers["retry-after"]) * self.random.random())

    async def read(self, answer: httpx.Response, began: float, leave_after: int | None) -> None:
        times, tokens, done = array("d"), 0, False
        async for line in answer.aiter_lines():
            now = time.perf_counter()
            done = done or line == "data: [DONE]"
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
            if any(choice["delta"].get("content") for choice in event.get("choices", ())):
                times.append(now)
                if len(times) == leave_after:
                    return
        self.unfinished += not done
        self.first.extend(each - began for each in times[:1])
        self.between.extend(after - before for before, after in itertools.pairwise(times))
        if tokens > 1 and len(times) > 1:
            self.per_token.append((times[-1] - times[0]) / (tokens - 1))

    async def streams(self, seconds: float, tokens: int = STREAM_TOKENS) -> None:
        end = time.monotonic() + seconds

        async def one() -> None:
            async with httpx.AsyncClient(base_url=self.url, timeout=600) as http:
                while time.monotonic() < end:
                    await self.ask(http, self.body(tokens))

        await asyncio.gather(*(one() for _ in range(self.together)))

    async def short(self, count: int) -> None:
        left = iter(range(count))

        async def one() -> None:
            async with httpx.AsyncClient(base_url=self.url, timeout=600) as http:
                for _ in left:
                    await self.any_of(http, self.random.random(), self.body(SHORT_TOKENS))

        await asyncio.gather(*(one() for _ in range(self.together)))

    async def any_of(self, http: httpx.AsyncClient, dice: float, body: dict[str, Any]) -> None:
        if dice < BAD:
            await self.ask(http, self.random.choice([{**body, "n": 99}, {**body, "echo": True}, {**body, "model": "nobody"}, []]))
        elif dice < BAD + LEAVE / 2:
            await self.ask(http, body, leave_after=self.random.randint(1, 3))
        elif dice < BAD + LEAVE:
            await self.impatient(http, body)
        else:
            await self.ask(http, body)

    async def impatient(self, http: httpx.AsyncClient, body: dict[str, Any]) -> None:
        """Leaves at some moment, also while it waits for its turn."""
        try:
            async with asyncio.timeout(self.random.uniform(0, 0.2)):
                await self.ask(http, body)
        except TimeoutError:
            self.count("left")

    def result(self) -> dict[str, Any]:
        times = {"first_text_ms": self.first, "between_pieces_ms": self.between, "per_token_ms": self.per_token}
        return {
            "answers": dict(sorted(self.statuses.items())),
            "unfinished_streams": self.unfinished,
            **{name: percentiles(each) for name, each in times.items()},
        }


async def written(url: str) -> float:
    """Tokens that the server has written so far, for those who left, too."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        text = (await http.get("/metrics")).text
    return sum(float(value) for value in re.findall(r"^covey:generation_tokens_total\{.*\} (\S+)$", text, re.M))


async def drive(arguments: argparse.Namespace) -> None:
    asked = [(task, messages) for task, messages in json.loads(arguments.asked.read_text("utf-8"))]
    brief = [(task, [{"role": "user", "content": text}]) for task, text in SHORT]
    phases = (
        ("warm", asked, lambda clients: clients.streams(arguments.warm, WARM_TOKENS)),
        ("streams", asked, lambda clients: clients.streams(arguments.seconds)),
        ("short", brief, lambda clients: clients.short(arguments.short)),
    )
    for name, prompts, phase in phases:
        clients = Clients(arguments.url, arguments.model, arguments.streams, prompts, seed=len(name))
        before, began = await written(arguments.url), time.perf_counter()
        await phase(clients)
        seconds, tokens = time.perf_counter() - began, await written(arguments.url) - before
        speed = {"seconds": round(seconds, 1), "tokens": int(tokens), "tokens_per_second": round(tokens / seconds, 1)}
        print(json.dumps({"phase": name, **speed, **clients.result()}), flush=True)


async def idle() -> None:
    late: array[float] = array("d")
    beating = asyncio.create_task(heartbeat(late))
    await asyncio.to_thread(sys.stdin.read)
    beating.cancel()
    print(json.dumps(percentiles(late)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heartbeat", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--model")
    parser.add_argument("--asked", type=Path)
    parser.add_argument("--streams", type=int, default=STREAMS, help="how many together")
    parser.add_argument("--warm", type=float, default=5, help="seconds")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--short", type=int, default=200)
    arguments = parser.parse_args()
    asyncio.run(idle() if arguments.heartbeat else drive(arguments))


if __name__ == "__main__":
    main()
