"""One answer as it grows on the terminal, and what its speculation came to.

statistics, text = show(llm, prompt, params, console, drafts=True)
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console

from covey.cli.paint import Owners, painter_for
from covey.cli.screen import harmless
from covey.config import ConfigError
from covey.errors import CoveyError
from covey.sampling_params import SamplingParams
from covey.types import Prompt

if TYPE_CHECKING:
    from covey.engine.statistics import Statistics
    from covey.llm import LLM


def show(llm: LLM, prompt: Prompt, params: SamplingParams, console: Console, drafts: bool) -> tuple[Statistics, str]:
    """Stream an answer to the console, with its drafts or without; returns its statistics and its text.

    Raises CoveyError when the engine fails on it, and for parameters whose results could not be shown.
    """
    from covey.engine.statistics import Statistics

    if params.n != 1:
        raise ConfigError(f"n={params.n}: one answer at a time is shown here; set n to 1, or use covey generate")
    if params.logprobs is not None:
        raise ConfigError(f"logprobs={params.logprobs}: they are not shown here; leave logprobs out, or use covey generate --json")
    statistics, pieces, began = Statistics(), [], time.perf_counter()
    owners, painter = Owners(llm.tokenizer), painter_for(console, members_of(llm))
    for chunk in llm.stream(prompt, params):
        if chunk.round is not None:
            statistics.add(chunk.round)
        statistics.seconds = time.perf_counter() - began
        if chunk.round is not None and chunk.token_ids and statistics.first_token_seconds is None:
            statistics.first_token_seconds = statistics.seconds
        pieces.append(chunk.text)
        console.print(painter.paint(owners.split(chunk)) if drafts else harmless(chunk.text), end="")
        console.file.flush()
        if chunk.finish_reason == "error":
            console.print()
            raise CoveyError(chunk.error or "the engine failed on this prompt")
    console.print()
    return statistics, "".join(pieces)


def members_of(llm: LLM) -> tuple[str, ...]:
    """The members of the collective that drafts; none where a single drafter does."""
    return tuple(name for drafter in llm.drafters for name in getattr(drafter, "member_names", ()))
