"""What `covey serve` does under load: 64 streams together for some minutes, then 2,000 short requests of which some leave and some are bad.

    python benchmarks/serving_load.py --minutes 5 --target toy --prompts dev.jsonl.gz --json result.json --markdown result.md

The server runs in this process, its clients in another (serving_clients.py). It reports answers by status, what was left behind (rows,
places, threads), memory, times to the first text and between pieces as clients have them, tokens a second, and what blocks the event
loop: the longest callback by its own CPU time, which is covey's doing, and a heartbeat's lateness, which on a busy machine is others' too,
for which a heartbeat in an idle process stands beside it. The last line of standard output is the result as JSON; the exit code is 1 where
something went wrong, which `faults` names.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from serving_clients import SHORT, STREAM_TOKENS, STREAMS, heartbeat, percentiles

CLIENTS = Path(__file__).with_name("serving_clients.py")
LONGEST_CALLBACK_MS = 100
MEMORY_EVERY = 10.0


class Loop:
    """What callbacks of the event loop take: the longest by CPU time of its thread, and its lateness."""

    def __init__(self) -> None:
        self.late: array[float] = array("d")
        self.longest, self.what = 0.0, ""
        original = asyncio.events.Handle._run

        def timed(handle: Any) -> None:
            began = time.thread_time()
            original(handle)
            if (took := time.thread_time() - began) > self.longest:
                self.longest, self.what = took, repr(handle)

        asyncio.events.Handle._run = timed  # type: ignore[method-assign]

    def forget(self) -> None:
        """What came before does not count."""
        self.longest = 0.0
        del self.late[:]

    def result(self) -> dict[str, Any]:
        return {"longest_callback_cpu_ms": round(self.longest * 1000, 2), "longest_callback": self.what, "late_ms": percentiles(self.late)}


def asked_of(llm: Any, place: Path | None) -> tuple[list[Any], str]:
    """What is asked, as (task, messages), and where it is from. Prompts that the target has no room for are left out."""
    if place is None:
        return [(task, [{"role": "user", "content": text}]) for task, text in SHORT], "built-in short prompts, for --prompts was not given"
    from covey.prompts import file_digest, read_prompts

    every = [(prompt.task, [dict(message) for message in prompt.messages]) for prompt in read_prompts(place)]
    room = llm.max_model_len - STREAM_TOKENS
    fitting = [(task, messages) for task, messages in every if len(llm.served().tokenizer.apply_chat(messages)) <= room]
    tasks = ", ".join(sorted({task for task, _ in fitting}))
    return fitting, f"{len(fitting)} of {len(every)} prompts that fit, of {tasks}; SHA-256 {file_digest(place)[:12]}"


async def left_behind(server: Any) -> dict[str, int]:
    """What a server holds that nobody asks any more, once the engine had a few steps to notice, and what rests was given up."""
    gate, served = server.service.gates[server.llm.targets[0]], server.llm.served()
    for _ in range(100):
        if gate.idle and not served.engine.busy:
            break
        await asyncio.sleep(0.05)
    scheduler, rows = served.engine.scheduler, served.target.rows
    sequences = len(scheduler.running) + len(scheduler.waiting)
    await asyncio.wrap_future(server.llm._worker.do(scheduler.ended.clear))
    gc.collect()
    return {
        "rows": len(rows),
        "blocks": rows.num_blocks - rows.num_free,
        "sequences": sequences,
        "places": gate.running + gate.waiting,
        "requests": sum(map(len, server.service.callers._runs.values())),
    }


def cache_mib() -> float:
    """How much of the planned caches of keys and values has been touched: memory of which covey asks for small pages ("nh")."""
    touched = resident = 0
    try:
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if line.startswith("Rss:"):
                resident = int(line.split()[1])
            elif line.startswith("VmFlags:") and "nh" in line.split():
                touched += resident
    except OSError:  # no Linux: all is counted as the rest
        return 0.0
    return round(touched / 1024, 1)


class Memory:
    """Of this process, in MiB, at moments that have names, and by the way: in all, and without the caches, which were planned at the
    start and are only touched later."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.at: dict[str, float] = {}
        self.over_time: list[float] = []
        self.without_caches: list[float] = []
        self.threads = 0
        self._looking = ThreadPoolExecutor(1)

    async def caches(self) -> float:
        """`cache_mib`, which takes a tenth of a second for gigabytes, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._looking, cache_mib)

    def note(self, when: str) -> None:
        self.at[when] = self.now

    @property
    def now(self) -> float:
        return round(self._process.memory_info().rss / (1 << 20), 1)

    async def watch(self) -> None:
        """Every so often, until it is cancelled: what grows and grows looks different from what is filled once."""
        while True:
            self.over_time.append(self.now)
            self.without_caches.append(round(self.now - await self.caches(), 1))
            await asyncio.sleep(MEMORY_EVERY)

    def new_threads(self) -> int:
        """Since the last call."""
        passing = sum("waitpid" in each.name for each in threading.enumerate())  # asyncio's own, while a child runs
        before, self.threads = self.threads, self._process.num_threads() - passing
        return self.threads - before

    def result(self) -> dict[str, Any]:
        growth, late = round(self.at["end"] - self.at["warm"], 1), self.without_caches[len(self.without_caches) // 2 :]
        return {
            **self.at,
            "growth_after_warm_up": growth,
            "growth_in_second_half_without_caches": round(late[-1] - late[0], 1),
            "over_time": self.over_time,
            "over_time_without_caches": self.without_caches,
        }


async def measured(arguments: argparse.Namespace, server: Any, loop: Loop, asked: Path) -> dict[str, Any]:
    """Serves while the clients ask, and looks at what they leave behind."""
    memory, beats = Memory(), []
    serving = asyncio.create_task(server.run())
    memory.note("start")
    command = ["--url", "http://{}:{}".format(*server.address), "--model", server.llm.targets[0], "--asked", str(asked)]
    numbers = {"--streams": arguments.streams, "--warm": arguments.warm, "--seconds": arguments.minutes * 60, "--short": arguments.short}
    command += [str(part) for option in numbers.items() for part in option]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    idle = await asyncio.create_subprocess_exec(sys.executable, str(CLIENTS), "--heartbeat", **pipes)
    clients = await asyncio.create_subprocess_exec(sys.executable, str(CLIENTS), *command, stdout=subprocess.PIPE)
    assert clients.stdout is not None
    phases = {}
    async for line in clients.stdout:
        phase = json.loads(line)
        name = phase.pop("phase")
        memory.note(name)
        print(f"{name}: {json.dumps(phase)}", file=sys.stderr)
        if name == "warm":
            for each in [server.service.texts.submit(time.sleep, 0.1) for _ in range(2)]:
                await asyncio.wrap_future(each)  # both of its threads are there
            await memory.caches()  # and the one that looks at memory
            memory.new_threads()
            loop.forget()
            beats = [asyncio.create_task(heartbeat(loop.late)), asyncio.create_task(memory.watch())]
        else:
            phases[name] = phase
    if await clients.wait() or not beats:
        raise SystemExit("the clients failed: see above")
    for beat in beats:
        beat.cancel()
    busy = {**loop.result(), "idle_process_late_ms": json.loads((await idle.communicate(b""))[0])}
    left = {**await left_behind(server), "threads": memory.new_threads()}
    memory.note("end")
    server.drain()
    await serving
    return {"clients": phases, "left_behind": left, "memory_mib": memory.result(), "loop": busy}


def faults(found: dict[str, Any]) -> list[str]:
    """What must not be, in words."""
    wrong = [f"{each} {name} left behind" for name, each in found["left_behind"].items() if each]
    for name, phase in found["clients"].items():
        wrong += [
            f"{count} answers {status} ({name})" for status, count in phase["answers"].items() if status[0] == "5" and status != "503"
        ]
        wrong += [f"{phase['unfinished_streams']} unfinished streams ({name})"] * bool(phase["unfinished_streams"])
    if (longest := found["loop"]["longest_callback_cpu_ms"]) > LONGEST_CALLBACK_MS:
        wrong.append(f"the event loop was busy for {longest} ms with {found['loop']['longest_callback']}")
    return wrong


def markdown(found: dict[str, Any]) -> str:
    """The same in short."""
    machine, loop, memory = found["machine"], found["loop"], found["memory_mib"]
    lines = [
        f"# Serving under load: {found['target']}",
        "",
        f"`{found['command']}`, {machine['cpu']}, {machine['usable_threads']} threads, load {found['load_average'][0]} before."
        f" Prompts: {found['prompts']}.",
        "",
        "| phase | seconds | answers | tokens/s | first text, ms (p50 / p99) | between pieces, ms | per token, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, phase in found["clients"].items():
        answers = ", ".join(f"{count} {status}" for status, count in phase["answers"].items())
        times = [f"{phase[key]['p50']} / {phase[key]['p99']}" for key in ("first_text_ms", "between_pieces_ms", "per_token_ms")]
        lines.append("| " + " | ".join([name, str(phase["seconds"]), answers, str(phase["tokens_per_second"]), *times]) + " |")
    late, idle = loop["late_ms"], loop["idle_process_late_ms"]
    left = ", ".join(f"{name} {each}" for name, each in found["left_behind"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"Left behind: {left}. Memory, MiB: {memory['start']} at the start, {memory['warm']} warm, {memory['end']} at the end:"
            f" {memory['growth_after_warm_up']:+} since warm; {memory['growth_in_second_half_without_caches']:+} in the second half"
            " without the caches.",
            "",
            f"Event loop: longest callback {loop['longest_callback_cpu_ms']} ms of CPU time; late by {late['p99']} ms (p99) and"
            f" {late['max']} ms (most), where a loop of an idle process was late by {idle['p99']} and {idle['max']} ms.",
            "",
            "Faults: " + ("; ".join(found["faults"]) or "none") + ".",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=0.25, help="how long the streams last, but for those that began before")
    parser.add_argument("--streams", type=int, default=STREAMS, help="how many streams, and then short requests, together")
    parser.add_argument("--warm", type=float, default=10, help="seconds of short streams before, which are not counted")
    parser.add_argument("--short", type=int, default=2000, help="how many short requests follow")
    parser.add_argument("--target", default="toy")
    parser.add_argument("--prompts", type=Path, help="a prompt file, for mixed tasks; without it a few short prompts are asked")
    parser.add_argument("--max-num-seqs", type=int, default=16)
    parser.add_argument("--json", type=Path, help="write the result to this file, too")
    parser.add_argument("--markdown", type=Path, help="write it in short to this file")
    arguments = parser.parse_args()

    from covey import AsyncLLM, SamplingParams, provenance
    from covey.config import ServerConfig
    from covey.server.keys import Keys
    from covey.server.serve import Server

    about = {**provenance.about(), "target": arguments.target}
    llm = AsyncLLM(arguments.target, max_num_seqs=arguments.max_num_seqs)
    prompts, about["prompts"] = asked_of(llm, arguments.prompts)
    print(f"asking {about['prompts']}", file=sys.stderr)
    server = Server(llm, ServerConfig(port=0, queue_size=arguments.streams, request_seconds=3600), SamplingParams(), Keys({}))
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.json"
        asked.write_text(json.dumps(prompts), "utf-8")
        found = {**about, **asyncio.run(measured(arguments, server, Loop(), asked))}
    found["faults"] = faults(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(found), "utf-8")
    print(json.dumps(found))
    sys.exit(bool(found["faults"]))


if __name__ == "__main__":
    main()
