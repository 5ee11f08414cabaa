"""covey: a collective of small drafters speculates for large target models; the text stays exactly the target's.

from covey import LLM, SamplingParams
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covey.errors import CoveyError
    from covey.llm import LLM, AsyncLLM, Chunk, Completion
    from covey.sampling_params import Grammar, SamplingParams
    from covey.types import Draft, Drafter, Round

__version__ = "0.1.0"
__all__ = ["LLM", "AsyncLLM", "Chunk", "Completion", "CoveyError", "Draft", "Drafter", "Grammar", "Round", "SamplingParams", "__version__"]

_HOME = {"CoveyError": "errors", "SamplingParams": "sampling_params", "Grammar": "sampling_params"}
_HOME |= {"Draft": "types", "Drafter": "types", "Round": "types"}


def __getattr__(name: str) -> Any:
    """Load on first use: `import covey` must not wait for torch."""
    if name in __all__:
        return getattr(import_module(f"covey.{_HOME.get(name, 'llm')}"), name)
    raise AttributeError(f"module 'covey' has no attribute {name!r}")
