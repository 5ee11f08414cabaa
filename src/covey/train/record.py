"""Records what a target answers to prompts, many at once; goes on where it was cut.

The tokens a drafter must guess are the target's own, so its own text is what drafters are made from. The answers that the prompts came
with can be recorded instead, or the prompts themselves: what the target would have said at each of their positions is known after one
pass, which takes a fraction of the time that writing does. Prompts of all kinds of work take turns, so that a recording that is cut
early still holds some of each. Knows nothing of drafters.

    record(RecordSettings(prompts=Path("train.jsonl.gz"), folder=Path("recorded"), target="smollm2"))
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy

from covey.drafters.corpus import Corpus
from covey.errors import CoveyError
from covey.llm import LLM
from covey.model.atomic import Report, silent
from covey.prompts import TaskPrompt, file_digest, read_prompts
from covey.sampling_params import SamplingParams
from covey.train.overlap import without_overlap
from covey.train.recording import OWN, Recording, Text
from covey.train.score import score
from covey.types import Prompt

TEXTS = (OWN, "references", "prompts")
_LEAD = 8  # tokens of a whole text that nothing is learned from: there is nothing before them


@dataclass(frozen=True)
class RecordSettings:
    """What is recorded.

    apart_from: a prompt file; prompts that share a run of 13 words with one of its prompts are left out. leave_out:
    patterns of sources ("wmt22_*") that are left out. limit: most prompts of a task. text: "answers" of the target, the file's
    "references", or "prompts", whole and with what follows them, of all of whose tokens is learned, up to max_tokens: their references, or
    the answers. top, hidden: see train.score; a recording without them can be given them later. shard: prompts that are answered and
    written together: what an interruption can lose; several times max_num_seqs keeps the target busy. answers: a corpus of what the
    target answered to prompts of this file: its answers are taken, and none is written anew.
    Prompts too long for the target are left out.
    """

    prompts: Path
    folder: Path
    target: str
    apart_from: Path | None = None
    leave_out: tuple[str, ...] = ()
    tasks: tuple[str, ...] | None = None
    limit: int | None = None
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    text: str = OWN
    top: int = 0
    hidden: bool = False
    shard: int = 128
    answers: Path | None = None

    def __post_init__(self) -> None:
        if self.answers is not None and self.text == "references":
            raise CoveyError(
                f"answers={str(self.answers)!r}: a corpus is of answers, and text={self.text!r} wants none; leave one of them out"
            )
        if self.text not in TEXTS:
            raise CoveyError(f"text={self.text!r}: text must be one of {', '.join(TEXTS)}")
        if not 0 <= self.top <= 100:
            raise CoveyError(f"top={self.top}: top must be from 0 to 100")
        if self.shard < 1:
            raise CoveyError(f"shard={self.shard}: shard must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise CoveyError(f"limit={self.limit}: limit must be at least 1")


@dataclass(frozen=True)
class Choice:
    """The prompts to be recorded, tasks in turn, and how many were left out for what reason."""

    prompts: list[TaskPrompt]
    left_out: dict[str, int]


def choose(settings: RecordSettings, skipped: Callable[[str], None] | None = None) -> Choice:
    """Which prompts of the file are recorded. skipped: see covey.prompts.read_prompts."""
    every = read_prompts(settings.prompts, settings.tasks, skipped)
    kept = [p for p in every if not any(fnmatchcase(p.source, pattern) for pattern in settings.leave_out)]
    left_out = {"source": len(every) - len(kept)}
    if settings.text == "references":
        left_out["no reference"] = sum(not p.reference for p in kept)
        kept = [p for p in kept if p.reference]
    if settings.answers is not None:
        _, known = kept_answers(settings.answers, settings.prompts)
        left_out["no answer"] = sum(p.id not in known for p in kept)
        kept = [p for p in kept if p.id in known]
    if settings.apart_from is not None:
        kept, dropped = without_overlap(kept, read_prompts(settings.apart_from))
        left_out["overlap"] = len(dropped)
    by_task = [[p for p in kept if p.task == task][: settings.limit] for task in dict.fromkeys(p.task for p in kept)]
    turns = [p for turn in itertools.zip_longest(*by_task) for p in turn if p is not None]
    if not turns:
        raise CoveyError(f"prompts={str(settings.prompts)!r}: no prompt is left: {left_out}")
    return Choice(turns, left_out)


@lru_cache(maxsize=1)
def kept_answers(corpus: Path, prompts: Path) -> tuple[dict[str, str], dict[str, list[int]]]:
    """What a corpus says of itself, and the answers that it keeps, by the prompt's id. Raises CoveyError for a corpus of another file of
    prompts, or one that does not say whose answers it holds."""
    held = Corpus.load(corpus)
    try:
        names = json.loads(held.description["prompts"])
        if file_digest(prompts) not in held.description["prompts_sha256"].split(","):
            raise ValueError(f"it is of other prompts than {prompts.name}")
        return held.description, dict(zip(names, held.texts(), strict=True))
    except (KeyError, ValueError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise CoveyError(
            f"answers={str(corpus)!r}: {why}; give a corpus that covey corpus has made of a recording of these prompts"
        ) from None


def record(llm: LLM, settings: RecordSettings, report: Report = silent, skipped: Callable[[str], None] | None = None) -> Recording:
    """Record all prompts that are not yet recorded; what share of them is done is reported after each shard.

    skipped is told of bad lines of the prompt file, which are then left out; without it they raise CoveyError.

    Deterministic: a recording that was cut and gone on with is the one that was not cut. Raises CoveyError when the
    folder holds another recording.
    """
    choice = choose(settings, skipped)
    recording = Recording.open(settings.folder, _description(llm, settings, choice))
    for number, start in enumerate(range(0, len(choice.prompts), settings.shard)):
        prompts = choice.prompts[start : start + settings.shard]
        if not recording.has(number):
            recording.add(number, _texts(llm, settings, prompts))
        report("recording", (start + len(prompts)) / len(choice.prompts))
    if settings.top or settings.hidden:
        score(llm, recording, settings.top, settings.hidden, report)
    return recording


def _description(llm: LLM, settings: RecordSettings, choice: Choice) -> dict[str, object]:
    return {
        "target": settings.target,
        "dtype": llm.target.dtype,
        "vocabulary": llm.tokenizer.fingerprint,
        "max_model_len": llm.max_model_len,
        "prompts_sha256": file_digest(settings.prompts),
        "apart_from_sha256": file_digest(settings.apart_from) if settings.apart_from else None,
        "leave_out": list(settings.leave_out),
        "tasks": list(settings.tasks) if settings.tasks else None,
        "limit": settings.limit,
        "num_prompts": len(choice.prompts),
        "left_out": choice.left_out,
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "text": settings.text,
        "shard": settings.shard,
        **({"answers_sha256": file_digest(settings.answers)} if settings.answers else {}),
    }


def _texts(llm: LLM, settings: RecordSettings, prompts: list[TaskPrompt]) -> list[Text]:
    encoded = [(prompt, llm.tokenizer.apply_chat([dict(message) for message in prompt.messages])) for prompt in prompts]
    fitting = [(prompt, ids) for prompt, ids in encoded if len(ids) + settings.max_tokens <= llm.max_model_len]
    parts = _parts(llm, settings, fitting)
    return [
        Text(prompt.id, prompt.task, numpy.array(read, numpy.int32), numpy.array(learned[: settings.max_tokens], numpy.int32))
        for (prompt, _), (read, learned) in zip(fitting, parts, strict=True)
    ]


def _parts(llm: LLM, settings: RecordSettings, fitting: list[tuple[TaskPrompt, list[int]]]) -> list[tuple[list[int], list[int]]]:
    """What is read and what is learned of each text."""
    if settings.answers is not None:
        after = _kept(llm, settings, settings.answers, fitting)
    elif settings.text == OWN:
        after = _answers(llm, settings, fitting)
    else:
        after = [_reference(llm, prompt) if prompt.reference else [] for prompt, _ in fitting]
    parts = [(ids, following) for (_, ids), following in zip(fitting, after, strict=True)]
    if settings.text != "prompts":
        return parts
    return [(ids[:_LEAD], [*ids[_LEAD:], *following]) for ids, following in parts]


def _kept(llm: LLM, settings: RecordSettings, corpus: Path, fitting: list[tuple[TaskPrompt, list[int]]]) -> list[list[int]]:
    """The answers that a corpus keeps."""
    described, known = kept_answers(corpus, settings.prompts)
    if float(described.get("temperature", settings.temperature)) != settings.temperature:
        why = f"its answers were written at temperature={described['temperature']}, not {settings.temperature}"
        raise CoveyError(f"answers={str(corpus)!r}: {why}; give that temperature")
    if described.get("vocabulary", llm.tokenizer.fingerprint) != llm.tokenizer.fingerprint:
        raise CoveyError(f"answers={str(corpus)!r}: it is of another vocabulary than {llm.target.name!r} has; record anew")
    return [known[prompt.id] for prompt, _ in fitting]


def _reference(llm: LLM, prompt: TaskPrompt) -> list[int]:
    """A reference as the target would write it, ended as it ends its answers."""
    ids: list[int] = llm.tokenizer.encode(prompt.reference, add_special_tokens=False)
    return [*ids, *sorted(llm.target.end_ids)[:1]]


def _answers(llm: LLM, settings: RecordSettings, fitting: list[tuple[TaskPrompt, list[int]]]) -> list[list[int]]:
    params = SamplingParams(max_tokens=settings.max_tokens, temperature=settings.temperature, seed=settings.seed)
    wanted: list[Prompt] = [ids for _, ids in fitting]
    done = llm.generate(wanted, params, progress=False)
    for (prompt, _), completion in zip(fitting, done, strict=True):
        if completion.error is not None:
            raise CoveyError(f"prompt {prompt.id!r}: the target failed on it ({completion.error})")
    return [completion.token_ids for completion in done]
