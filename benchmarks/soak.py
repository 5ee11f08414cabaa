"""Whether anything is ever left behind, and what it costs to do nothing.

Requests at random, aborted at random, under a pipeline that overlaps and under `auto`: everything must end, and every row must come back.
Then a server with nothing to do, its drafter's thread begun: the share of a core that it takes.

    python benchmarks/soak.py --minutes 10

The last line printed is one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from covey import LLM, AsyncLLM, SamplingParams, provenance
from covey.drafters import SuffixDrafter


def soak(minutes: float, pipeline: str) -> dict[str, Any]:
    """Requests at random, aborted at random: everything ends, and every row comes back."""
    chooser, deadline = random.Random(1), time.monotonic() + 60 * minutes
    options = {"pipeline": pipeline, "controller": "fixed", "max_num_seqs": 8}
    with LLM("toy", drafters=[SuffixDrafter(min_survival=0.0)], **options) as llm:
        to, ended, asked = llm.served(), [], []
        rounds: Counter[str] = Counter()  # by how they were drafted
        llm.observe(lambda happened: rounds.update([happened.pipeline]))
        while to.engine.busy or time.monotonic() < deadline:
            if time.monotonic() < deadline and len(asked) - len(ended) < chooser.randrange(12):
                params = SamplingParams(max_tokens=chooser.randrange(1, 60), temperature=1.0, seed=len(asked))
                ids = [chooser.randrange(1, 90) for _ in range(chooser.randrange(1, 120))]
                asked += to.generations(ids, params, lambda event: event.finish_reason and ended.append(event.finish_reason))
                to.engine.add(asked[-1])
            to.engine.step()
            if asked and chooser.random() < 0.02:
                to.engine.abort(asked[-1 - chooser.randrange(min(8, len(asked)))].sequence.request_id)
        to.engine.scheduler.ended.clear()  # rows that are kept warm for others that begin alike
        to.engine.pipeline.settle()
        free = llm.target.rows.num_free == llm.target.rows.num_blocks and not len(llm.target.rows)
        faults = asdict(to.engine.pipeline.faults)
    found = {"requests": len(asked), "all_ended": len(ended) == len(asked), "rows_free": free, "rounds": rounds, "faults": faults}
    return {"minutes": minutes, "pipeline": pipeline, **found}


def idle_share(seconds: float = 3.0) -> float:
    """CPU time over wall time of a server with nothing to do, its drafter's thread begun."""

    async def main() -> float:
        async with AsyncLLM("toy", drafters=["suffix"], pipeline="overlapped", controller="fixed") as llm:
            await llm.generate("the birds", SamplingParams(max_tokens=20))
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(seconds)
            return (time.process_time() - cpu) / (time.perf_counter() - began)

    return asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="half of them overlapped, half auto")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    runs = [soak(given.minutes / 2, name) for name in ("overlapped", "auto")]
    print(json.dumps({**provenance.about(), "soak": runs, "idle_cpu_share": idle_share()}))


if __name__ == "__main__":
    main()
