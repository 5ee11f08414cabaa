"""The Python API: `LLM` for scripts, `AsyncLLM` for servers.

Turns prompts into sequences and sequences into completions. Knows nothing of how tokens come about.

    with LLM("smollm2") as llm:
        print(llm.generate("The birds of passage")[0].text)
"""

from __future__ import annotations

from covey.llm.async_llm import AsyncLLM
from covey.llm.completion import Chunk, Completion
from covey.llm.llm import LLM

__all__ = ["LLM", "AsyncLLM", "Chunk", "Completion"]
