"""Made-up prompt files and measurements."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from covey.bench.measurement import Answer, Measurement, Unit
from covey.bench.tally import Passes, Tally


def line(name: str, task: str = "qa", text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"id": name, "task": task, "messages": [{"role": "user", "content": text}], **more}


def write(path: Path, lines: list[Any]) -> Path:
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def measurement(
    method: str = "plain",
    seconds: float = 2.0,
    outputs: Sequence[Sequence[int]] = ((1, 2, 3, 4),),
    *,
    group: str = "qa/1/0",
    batch: int = 1,
    repetition: int = 0,
    task: str = "qa",
    passes: Passes | None = None,
    tell_ids: bool = True,
) -> Measurement:
    """Answers with these output tokens in so many seconds; the prompts are called after group and place."""
    texts = tuple(tuple(output) for output in outputs)
    return Measurement(
        unit=Unit(batch, repetition, group),
        task=task,
        method=method,
        ids=tuple(f"{task}-{group.rpartition('/')[2]}-{i}" for i in range(len(texts))),
        prompt_tokens=(10,) * len(texts),
        answer=Answer(seconds, tuple(map(len, texts)), texts if tell_ids else None, passes),
    )


def drafted(
    decode_seconds: float, tokens: int = 4, *, drafts: int = 0, drafted: int = 0, accepted: int = 0, loop_free: int | None = None
) -> Passes:
    """Passes of a decoding of so many tokens, of which loop_free (all if None) came before a loop, at an even pace."""
    kept = tokens if loop_free is None else loop_free
    part = Tally(decode_seconds * kept / tokens, kept, kept, drafts, drafted, accepted) if kept else Tally()
    return Passes(
        whole=Tally(decode_seconds + 1, tokens, tokens, drafts, drafted, accepted),
        decode=Tally(decode_seconds, tokens, tokens, drafts, drafted, accepted),
        loop_free=part,
        looping=int(loop_free is not None),
        draft_seconds=0.25 * decode_seconds,
        verify_seconds=0.5 * decode_seconds,
        accepted_histogram=[0] * accepted + [drafts] if drafts else [],
    )
