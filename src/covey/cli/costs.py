"""`covey costs`: what passes of a target and drafts cost on this machine; covey.engine.profile measures.

covey costs --target smollm2 --drafters suffix:smollm2 --output costs.json
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from covey.cli import screen, startup
from covey.config import Settings, all_options

if TYPE_CHECKING:
    from covey.cost import Costs

# Nothing is served.
_OWN = ("controller", "branches", "pipeline", "drafter_threads", "drafter_timeout", "prefix_reuse", "collective_state", "trace")
SETTINGS = ("target", "drafters", *(o.name for o in all_options().values() if o.group == "engine" and o.name not in _OWN))


def costs(
    output: Annotated[Path | None, typer.Option(help="Write them to this file, for covey replay.", show_default=False)] = None,
    *,
    settings: Settings,
) -> None:
    """Measure what passes and drafts cost on this machine, by tokens and sequences. What covey keeps in its cache is not read."""
    # At a fixed length nothing is measured before this command does it.
    settings = replace(settings, engine=replace(settings.engine, controller="fixed"))
    with startup.opened(settings) as llm:
        from covey import provenance
        from covey.engine.profile import measure

        with screen.err().status("measuring ..."):
            measured, whole = measure(llm.served(), llm.config.num_speculative_tokens, llm.config.max_num_seqs)
        drafters = [drafter.name for drafter in llm.drafters]
        options = {
            name: str(held) if isinstance(held, Path) else held for name, held in llm.config.to_options().items() if name in SETTINGS
        }
        document = {**provenance.about(), "target": llm.target.name, "drafters": drafters, "settings": options, "costs": measured.to_dict()}
        most = llm.config.max_num_seqs * (1 + llm.config.num_speculative_tokens)
    _show(measured, drafters, most)
    if not whole:
        screen.err().print("the machine was too busy to measure more than a pass or two; run it again when it is quieter")
    if output is not None:
        output.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        screen.err().print(f"written to {output}")


def _show(measured: Costs, drafters: list[str], most: int) -> None:
    held: dict[str, Any] = measured.to_dict()
    known = [(int(tokens), seconds) for tokens, seconds in zip(held["tokens"], held["seconds"], strict=True)]
    passes = Table(title="a pass of the target", title_justify="left")
    for name in ("tokens", "ms", "over one token"):
        passes.add_column(name, justify="right")
    for tokens, seconds in known:
        if tokens <= max(8, most):
            passes.add_row(str(tokens), f"{seconds * 1000:.3f}", f"{seconds / known[0][1]:.2f}")
    screen.out().print(passes)
    screen.out().print(f"and {held['seconds_per_reach'] * 1e6:.3f} ms for every 1,000 positions that its tokens look back at,")
    screen.out().print(f"{held['seconds_per_sequence'] * 1e3:.3f} ms for every sequence beyond the first")
    if drafters:
        drafting = Table(title=f"drafting with {', '.join(drafters)}", title_justify="left")
        drafting.add_column("for each")
        drafting.add_column("ms", justify="right")
        for name, rate in zip(("step", "guessed token", "sequence", "unread token", "proposal"), measured.drafter.rates, strict=True):
            drafting.add_row(name, f"{rate * 1000:.3f}")
        screen.out().print(drafting)
