"""`covey plot`: pictures of what happened, from a trace; covey.plot does the work.

covey chat --drafters suffix:smollm2,nested:smollm2 --trace rounds.jsonl
covey plot weights --trace rounds.jsonl --output weights.png
covey plot reliability --trace watched.jsonl --output reliability.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli import screen


def weights(
    trace: Annotated[Path, typer.Option(help="A file that --trace has written.", show_default=False)],
    output: Annotated[Path, typer.Option(help="The picture: a .png, .svg or .pdf file.", show_default=False)],
    requests: Annotated[
        str | None, typer.Option(help="Only these requests, separated by commas; unset is all, one after the other.", show_default=False)
    ] = None,
) -> None:
    """Draw how a collective's members fared along a text or a conversation, who was asked, and the accepted length."""
    from covey.plot import draw_weights, rounds_of

    rounds = rounds_of(trace, tuple(requests.split(",")) if requests else None)
    draw_weights(rounds, output)
    screen.out().print(f"{output}: {len(rounds)} rounds of {len({each.request_id for each in rounds})} requests")


def reliability(
    trace: Annotated[
        list[Path],
        typer.Option(help="A file that --trace has written under --controller watch; may be given several times.", show_default=False),
    ],
    output: Annotated[Path, typer.Option(help="The picture: a .png, .svg or .pdf file.", show_default=False)],
) -> None:
    """Draw how far drafters' estimates can be trusted: how often tokens that were called so probable came true."""
    from covey.plot import draw_reliability, trusted
    from covey.replay import read_trace

    found = {place.stem: trusted(read_trace(place)) for place in trace}
    draw_reliability(found, output)
    for name, both in found.items():
        screen.out().print(f"{name}: error {both['drafter'].error:.3f}, as the controller corrects it {both['controller'].error:.3f}")
