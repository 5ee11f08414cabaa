"""Scores recorded texts: what the target thinks of every token, in passes over whole texts; goes on where it was cut.

The texts need not be the target's own: references are scored the same way. Knows nothing of drafters.

    score(llm, Recording(Path("recorded")), top=20, hidden=True)
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from covey.errors import UnsupportedError
from covey.llm import LLM
from covey.model.atomic import Report, silent
from covey.model.target import LocalTarget
from covey.train.recording import Recording, Score, Text

_TOKENS_A_PASS = 1024


def score(llm: LLM, recording: Recording, top: int, hidden: bool, report: Report = silent) -> None:
    """Score all shards that have no scores yet. top: how many of the likeliest tokens are kept at each position of an answer.
    hidden: keep hidden states, of which a self draft is trained.

    Raises CoveyError when the recording has other scores, UnsupportedError for a target that is no model in this process.
    """
    target = llm.target
    if not isinstance(target, LocalTarget):
        raise UnsupportedError(f"target={target.name!r}: it tells neither likeliest tokens nor hidden states; record without them")
    recording.open_scores(top, target.hidden_size if hidden else 0)
    shards = recording.shards
    for number in shards:
        if not recording.has_scores(number):
            scores = [s for texts in _passes(list(recording.texts([number]))) for s in _score(target, texts, top, hidden)]
            recording.add_scores(number, scores)
        report("scoring", (shards.index(number) + 1) / len(shards))


def _passes(texts: list[Text]) -> Iterator[list[Text]]:
    """Neighbouring texts of about _TOKENS_A_PASS tokens together; a longer one by itself."""
    together: list[Text] = []
    for text in texts:
        if together and sum(len(t.prompt) + len(t.answer) for t in [*together, text]) > _TOKENS_A_PASS:
            yield together
            together = []
        together.append(text)
    if together:
        yield together


def _score(target: LocalTarget, texts: list[Text], top: int, hidden: bool) -> list[Score]:
    read = target.read([[*text.prompt.tolist(), *text.answer.tolist()] for text in texts], [len(text.answer) for text in texts])
    scores = []
    for logits, states in read:
        best = logits.float().log_softmax(-1).topk(top) if top else None
        nothing = torch.zeros(len(logits), 0)
        scores.append(
            Score(
                best.indices.int().cpu() if best else nothing.int(),
                best.values.half().cpu() if best else nothing.half(),
                states.bfloat16().cpu() if hidden else torch.zeros(len(states), 0, dtype=torch.bfloat16),
            )
        )
    return scores
