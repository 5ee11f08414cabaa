"""`covey fetch`: has a model at hand before it is needed.

covey fetch smollm2
"""

from __future__ import annotations

from typing import Annotated

import typer

from covey.cli import screen
from covey.config import quiet_libraries


def fetch(name: Annotated[str, typer.Argument(help="smollm2, a hub id, or a .gguf file to convert.")]) -> None:
    """Download, check and convert a model into the cache."""
    quiet_libraries()
    from covey.model.names import resolve

    with screen.reported() as report:
        place = resolve(name, report)
    screen.out().print(str(place))
