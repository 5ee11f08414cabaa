"""`covey demo`: four prompts of different kinds, answered with speculation, and what it came to.

covey demo
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from covey.cli import generate, screen, startup, streaming
from covey.cli.paint import painter_for
from covey.config import Settings

if TYPE_CHECKING:
    from covey.engine.statistics import Statistics

_MAX_TOKENS = 96


@dataclass(frozen=True)
class Example:
    """One prompt, and what kind of work it stands for."""

    kind: str
    prompt: str


_COVEY = """\
A covey is a small flock of partridges or quail. The birds of a covey feed together through the day and roost together at night, on \
the ground, in a tight ring with their tails to the middle and their heads outward. The ring keeps them warm, and it lets every bird \
watch a different part of the field. When a fox comes near, the whole covey bursts into the air at once. In spring the covey breaks \
up, and the birds pair off to nest."""

_CODE = """\
```python
def average(numbers):
    total = 0
    for number in numbers:
        total = total + number
    return total / len(numbers)
```"""

EXAMPLES = (
    Example("summary", f"Summarize this text in two sentences.\n\n{_COVEY}"),
    Example("code edit", f"Fix the bug: this function must return 0 for an empty list.\n\n{_CODE}"),
    Example("chat", "What are three good reasons to take a walk every day?"),
    Example("question", f"{_COVEY}\n\nWhat is a covey?"),
)


def demo(*, settings: Settings) -> None:
    """Let a real model answer four prompts, showing what was drafted and accepted."""
    if "max_tokens" not in settings.sources:
        settings = replace(settings, sampling=replace(settings.sampling, max_tokens=_MAX_TOKENS))
    console = screen.out()
    painter = painter_for(console)
    rows: list[tuple[Example, Statistics]] = []
    with startup.opened(settings) as llm:
        drafters = ", ".join(drafter.name for drafter in llm.drafters) or "nobody"
        console.print(f"{settings.target} answers, {drafters} drafts.")
        console.print(painter.legend)
        for example in EXAMPLES:
            console.print()
            console.rule(example.kind, align="left", characters="-")
            console.print(example.prompt, style="dim")
            console.print()
            prompt = generate.wrap(llm, example.prompt, raw=False, system=None)
            statistics, _ = streaming.show(llm, prompt, settings.sampling, console, drafts=True)
            rows.append((example, statistics))
    console.print()
    _show_table(console, rows)


def _show_table(console: Console, rows: list[tuple[Example, Statistics]]) -> None:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        title="What speculation did",
        title_justify="left",
        caption="mean length: 1 + accepted tokens / rounds with a draft. A round is a pass of the model; plain decoding needs one a token.",
        caption_justify="left",
    )
    table.add_column("prompt", no_wrap=True)
    for name in ("tokens", "rounds", "drafted", "accepted", "acceptance", "mean\nlength", "tokens/s"):
        table.add_column(name, justify="right")
    for example, s in rows:
        acceptance = f"{s.acceptance_rate:.0%}" if s.num_draft_tokens else "-"
        counts = (s.num_tokens, s.num_rounds, s.num_draft_tokens, s.num_accepted_tokens)
        table.add_row(example.kind, *map(str, counts), acceptance, f"{s.mean_accepted_length:.2f}", f"{s.tokens_per_second:.1f}")
    console.print(table, soft_wrap=False)
