"""Keeps what a drafter is made from apart from what it is measured on: prompts that share a long run of words.

Knows nothing of models.

    clean, dropped = without_overlap(training_prompts, measured_prompts)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from covey.prompts import TaskPrompt

RUN = 13  # words; the length by which GPT-3's authors, and most since, told a copy from a common phrase


def without_overlap(
    prompts: Iterable[TaskPrompt], others: Iterable[TaskPrompt], run: int = RUN
) -> tuple[list[TaskPrompt], list[TaskPrompt]]:
    """The prompts that share no run of `run` words with any of the others, and those that do.

    Words are compared without case and punctuation. A prompt of fewer words counts as one run. Brown et al. 2020,
    appendix C.
    """
    taken = {words for other in others for words in _runs(other, run)}
    clean: list[TaskPrompt] = []
    dropped: list[TaskPrompt] = []
    for prompt in prompts:
        (dropped if any(words in taken for words in _runs(prompt, run)) else clean).append(prompt)
    return clean, dropped


def _runs(prompt: TaskPrompt, run: int) -> Iterator[tuple[str, ...]]:
    for message in prompt.messages:
        words = re.findall(r"\w+", message["content"].lower())
        for at in range(max(1, len(words) - run + 1)):
            yield tuple(words[at : at + run])
