"""Servers that tests share: they hold nothing between requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covey import LLM
from tests.server.running import Running, running


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """The toy, open to all."""
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def llm() -> Iterator[LLM]:
    """The same target without a server: what texts must be."""
    with LLM("toy", drafters=[]) as found:
        yield found
