"""covey: a collective of small drafters speculates for large target models; the text stays exactly the target's.

from covey import LLM, SamplingParams
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covey.llm import LLM, AsyncLLM, Chunk, Completion
    from covey.types import CoveyError, Draft, Drafter, Round, SamplingParams

__version__ = "0.1.0"
__all__ = ["LLM", "AsyncLLM", "Chunk", "Completion", "CoveyError", "Draft", "Drafter", "Round", "SamplingParams", "__version__"]

_TYPES = {"CoveyError", "Draft", "Drafter", "Round", "SamplingParams"}


def __getattr__(name: str) -> Any:
    """Load on first use: `import covey` must not wait for torch."""
    if name in __all__:
        return getattr(import_module("covey.types" if name in _TYPES else "covey.llm"), name)
    raise AttributeError(f"module 'covey' has no attribute {name!r}")
