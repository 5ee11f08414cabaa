"""Benchmarks: how fast covey's methods are, against plain decoding and against other systems, in one interleaved run.

    from covey.bench import BenchSettings, run
    document = run(BenchSettings(prompts="dev.jsonl.gz", methods="plain,goodput", batch="1,8", json="out.json"))

docs/benchmarks.md says what the figures mean.
"""

from covey.bench.benchmark import run
from covey.bench.report import draw, to_markdown
from covey.bench.settings import BenchSettings

__all__ = ["BenchSettings", "draw", "run", "to_markdown"]
