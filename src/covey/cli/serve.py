"""`covey serve`: the server, with the settings of a file, the environment and the command line.

covey serve --port 8000
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from covey.cli import startup
from covey.config import Settings, secrets
from covey.config.environment import cache_dir
from covey.errors import CoveyError


def serve(*, settings: Settings) -> None:
    """Serve a model to OpenAI's clients over HTTP. What requests leave out is taken from the sampling settings."""
    from covey.server.keys import Keys

    keys = Keys.read(settings.server, secrets())  # before anything that takes its time
    try:
        from covey.server.serve import Server
    except ImportError as error:
        raise CoveyError(f"covey serve needs the package {error.name}: pip install 'covey[server]'") from None
    targets = settings.server.targets
    if targets and "target" in settings.sources:
        raise CoveyError(f"target={settings.target!r}: models names the targets already; leave one of the two out")
    llm = startup.open_async(settings, quiet=True, targets=targets)
    with _logged_to_stderr():
        try:
            server = Server(llm, settings.server, settings.sampling, keys, state=cache_dir() / "levels")
        except CoveyError:
            llm.close()
            raise
        asyncio.run(server.run())


@contextmanager
def _logged_to_stderr() -> Iterator[None]:
    """A line for each request and each event worth one, and whatever goes wrong in the engine; as long as it serves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("covey", logging.WARNING), ("covey.server", logging.INFO), ("uvicorn", logging.WARNING)):
        logging.getLogger(name).setLevel(level)
    for name in ("covey", "uvicorn"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).propagate = False
    try:
        yield
    finally:
        for name in ("covey", "uvicorn"):
            logging.getLogger(name).removeHandler(handler)
