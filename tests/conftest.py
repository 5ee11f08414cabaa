"""What all tests share: markers that need a wish or a device, few threads for tiny models, and those models themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from covey.model.reference import ReferenceGenerator

# Before anything imports torch: on a machine of many cores tiny matrices spend all their time in waking threads, and so do two
# workers with two threads each on two cores. Workers inherit what was set for whoever started them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))

# A shell ignores Ctrl-C for what it starts in the background, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long a case takes says something about the machine, not about covey.
settings.register_profile("covey", deadline=None)
settings.load_profile("covey")

ON_REQUEST = {"slow": "takes minutes", "gpu": "needs a CUDA device", "vllm": "needs vLLM"}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, why in ON_REQUEST.items():
        parser.addoption(f"--{name}", action="store_true", help=f"run the tests marked {name} ({why})")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name, why in ON_REQUEST.items():
            if item.get_closest_marker(name) and not config.getoption(f"--{name}"):
                item.add_marker(pytest.mark.skip(reason=f"{why}: run with --{name}"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny(family, seed=0, layers=2) is the folder of a tiny random model, made once; see tests/model/tiny.py."""
    from tests.model.tiny import tiny_model

    made: dict[tuple[object, ...], Path] = {}

    def make(family: str, seed: int = 0, layers: int = 2) -> Path:
        key = (family, seed, layers)
        if key not in made:
            made[key] = tiny_model(family, tmp_path_factory.mktemp(family), seed=seed, layers=layers)
        return made[key]

    return make


@pytest.fixture(scope="session")
def reference(tiny: Callable[..., Path]) -> Callable[[str, str], ReferenceGenerator]:
    """reference(family, dtype) is transformers' own view of that tiny model, loaded once."""
    from covey.model.reference import ReferenceGenerator

    loaded: dict[tuple[str, str], ReferenceGenerator] = {}

    def load(family: str, dtype: str) -> ReferenceGenerator:
        if (family, dtype) not in loaded:
            loaded[family, dtype] = ReferenceGenerator(tiny(family), dtype)
        return loaded[family, dtype]

    return load
