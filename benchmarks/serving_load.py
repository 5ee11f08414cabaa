"""What `covey serve` does under load: 64 streams together for some minutes, then 2,000 short requests of which some leave and some are bad.

    python benchmarks/serving_load.py --minutes 5 --target toy --json result.json

The server runs in this process, its clients in another. It reports answers by status, what was left behind (rows, places, threads,
memory), times to the first piece and between pieces as clients have them, and how long the event loop was kept busy by one callback (its
own CPU time) and late (which on a busy machine is mostly others' doing). The last line of standard output is the result as JSON; the exit
code is 1 for a 5xx other than a 503, and for anything left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

STREAMS, SHORT, LEAVE, BAD = 64, 2000, 0.30, 0.05
PROMPTS = [
    ("chat", "Why do birds fly in flocks?"),
    ("code", "Write a Python function that merges two sorted lists."),
    ("summary", "Summarise: The covey rose from the stubble, circled over the hill, and came down again behind the hedge. " * 4),
    ("math", "A train leaves at nine and travels 180 kilometres in two hours. How fast is it?"),
    ("translation", "Translate into French: The small grey bird sings while it flies home."),
]
_LAG_EVERY = 0.01


def percentiles(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds) or [0.0]
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
    return {name: round(value * 1000, 2) for name, value in at.items()}


class Clients:
    """Everything that is asked, and how it was answered. Runs in a process of its own."""

    def __init__(self, url: str, model: str, seed: int) -> None:
        self.url, self.model, self.random = url, model, random.Random(seed)
        self.statuses: dict[str, int] = {}
        self.first: list[float] = []
        self.between: list[float] = []
        self.pieces = self.unfinished = 0

    def count(self, what: str) -> None:
        self.statuses[what] = self.statuses.get(what, 0) + 1

    def body(self, max_tokens: int) -> dict[str, Any]:
        label, text = self.random.choice(PROMPTS)
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": max_tokens,
            "temperature": self.random.choice([0, 0.7]),
            "stream": True,
            "label": label,
        }

    async def ask(self, http: httpx.AsyncClient, body: Any, leave_after: int | None = None) -> None:
        """One request; leave_after: so many pieces."""
        began = last = time.perf_counter()
        seen, done = 0, False
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            self.count(str(answer.status_code))
            if answer.status_code != 200:
                await answer.aread()
                if answer.status_code == 503:
                    await asyncio.sleep(float(answer.headers["retry-after"]) * self.random.random())
                return
            async for line in answer.aiter_lines():
                if not line:
                    continue
                now = time.perf_counter()
                (self.between if seen else self.first).append(now - (last if seen else began))
                last, seen, done = now, seen + 1, line == "data: [DONE]"
                if seen == leave_after:
                    return
        self.pieces += seen
        self.unfinished += not done

    async def streams(self, seconds: float) -> None:
        end = time.monotonic() + seconds

        async def one() -> None:
            async with httpx.AsyncClient(base_url=self.url, timeout=600) as http:
                while time.monotonic() < end:
                    await self.ask(http, self.body(128))

        await asyncio.gather(*(one() for _ in range(STREAMS)))

    async def short(self, count: int) -> None:
        left = iter(range(count))

        async def one() -> None:
            async with httpx.AsyncClient(base_url=self.url, timeout=600) as http:
                for _ in left:
                    dice, body = self.random.random(), self.body(8)
                    if dice < BAD:
                        await self.ask(http, self.random.choice([{**body, "n": 99}, {**body, "echo": True}, {"model": "nobody"}, []]))
                    elif dice < BAD + LEAVE / 2:
                        await self.ask(http, body, leave_after=self.random.randint(1, 4))
                    elif dice < BAD + LEAVE:
                        await self.impatient(http, body)
                    else:
                        await self.ask(http, body)

        await asyncio.gather(*(one() for _ in range(STREAMS)))

    async def impatient(self, http: httpx.AsyncClient, body: Any) -> None:
        """Leaves at some moment, also while it waits for its turn."""
        try:
            async with asyncio.timeout(self.random.uniform(0, 0.2)):
                await self.ask(http, body)
        except TimeoutError:
            self.count("left")

    def result(self) -> dict[str, Any]:
        times = {"to_first_piece_ms": percentiles(self.first), "between_pieces_ms": percentiles(self.between)}
        return {"answers": self.statuses, "unfinished_streams": self.unfinished, "pieces": self.pieces, **times}


async def drive(url: str, model: str, seconds: float, short: int) -> None:
    """The clients' process."""
    found = {}
    for name, phase in (("streams", lambda c: c.streams(seconds)), ("short", lambda c: c.short(short))):
        clients, began = Clients(url, model, seed=len(name)), time.perf_counter()
        await phase(clients)
        found[name] = {"seconds": round(time.perf_counter() - began, 1), **clients.result()}
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            (await http.get("/health/ready")).raise_for_status()
    print(json.dumps(found))


class Loop:
    """How long callbacks of the event loop take, in CPU time of its thread, and how late it is."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.longest, self.what = 0.0, ""
        original = asyncio.events.Handle._run

        def timed(handle: Any) -> None:
            began = time.thread_time()
            original(handle)
            if (took := time.thread_time() - began) > self.longest:
                self.longest, self.what = took, repr(handle)

        asyncio.events.Handle._run = timed  # type: ignore[method-assign]

    async def watch(self) -> None:
        """From now on: what came before does not count."""
        self.longest = 0.0
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_LAG_EVERY)
            self.late.append(max(0.0, time.perf_counter() - began - _LAG_EVERY))


async def left_behind(server: Any) -> dict[str, int]:
    """What a server holds that nobody asks any more, once the engine had a few steps to notice."""
    gate, served = server.service.gates[server.llm.targets[0]], server.llm.served()
    for _ in range(100):
        if gate.idle and not served.engine.busy:
            break
        await asyncio.sleep(0.05)
    gc.collect()
    rows, scheduler = served.target.rows, served.engine.scheduler
    return {
        "rows": len(rows),
        "blocks": rows.num_blocks - rows.num_free,
        "sequences": len(scheduler.running) + len(scheduler.waiting),
        "places": gate.running + gate.waiting,
    }


async def measured(arguments: argparse.Namespace, server: Any, loop: Loop) -> dict[str, Any]:
    """The server's process: serves while the clients ask, and looks at what they leave behind."""
    process = psutil.Process()
    serving = asyncio.create_task(server.run())
    url = "http://{}:{}".format(*server.address)
    command = [sys.executable, __file__, "--drive", url, "--minutes", str(arguments.minutes), "--short", str(arguments.short)]
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        # Warm: threads and buffers that stay are made by the first requests.
        await asyncio.gather(*(http.post("/v1/completions", json={"prompt": "the birds", "max_tokens": 8}) for _ in range(16)))
    for each in [server.service.texts.submit(time.sleep, 0.1) for _ in range(2)]:
        await asyncio.wrap_future(each)
    memory = [process.memory_info().rss]
    threads = process.num_threads()
    clients = await asyncio.create_subprocess_exec(*command, "--model", server.llm.targets[0], stdout=subprocess.PIPE)
    assert clients.stdout is not None
    watch = asyncio.create_task(loop.watch())
    reading = asyncio.create_task(clients.stdout.read())
    while not reading.done():
        await asyncio.wait({reading}, timeout=5)
        memory.append(process.memory_info().rss)
    await clients.wait()
    watch.cancel()
    busy = {"longest_callback_cpu_ms": round(loop.longest * 1000, 2), "longest_callback": loop.what, "late_ms": percentiles(loop.late)}
    left = {**await left_behind(server), "threads": process.num_threads() - threads}
    server.drain()
    await serving
    return {
        "clients": json.loads(reading.result()),
        "left_behind": left,
        "memory_mib": [round(each / (1 << 20), 1) for each in (memory[0], memory[len(memory) // 2], memory[-1])],
        "loop": busy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=0.25, help="how long the 64 streams last")
    parser.add_argument("--short", type=int, default=SHORT, help="how many short requests follow")
    parser.add_argument("--target", default="toy")
    parser.add_argument("--max-num-seqs", type=int, default=16)
    parser.add_argument("--json", type=Path, help="write the result to this file, too")
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        asyncio.run(drive(arguments.drive, arguments.model, arguments.minutes * 60, arguments.short))
        return

    from covey import AsyncLLM, SamplingParams, provenance
    from covey.config import ServerConfig
    from covey.server.keys import Keys
    from covey.server.serve import Server

    llm = AsyncLLM(arguments.target, max_num_seqs=arguments.max_num_seqs)
    server = Server(llm, ServerConfig(port=0, queue_size=STREAMS), SamplingParams(), Keys({}))
    found = {**provenance.about(), "target": arguments.target, **asyncio.run(measured(arguments, server, Loop()))}
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found))
    answers = [status for phase in found["clients"].values() for status in phase["answers"]]
    faults = [status for status in answers if status.startswith("5") and status != "503"]
    sys.exit(1 if faults or any(found["left_behind"].values()) else 0)


if __name__ == "__main__":
    main()
