"""Which conventions there are, and which one a chat template follows.

Knows nothing of the models that they are named after.

    format_of(tokenizer.chat_template, "my model").name
"""

from __future__ import annotations

from covey.errors import CoveyError
from covey.tools.form import ToolFormat
from covey.tools.hermes import HermesFormat
from covey.tools.llama3 import Llama3Format
from covey.tools.mistral import MistralFormat

FORMATS: tuple[ToolFormat, ...] = (HermesFormat(), Llama3Format(), MistralFormat())


def format_of(template: str, model: str = "") -> ToolFormat:
    """The convention of a chat template. Raises CoveyError naming the model for one that follows none of them."""
    found = next((form for form in FORMATS if form.recognises(template)), None)
    if found is None:
        known = ", ".join(form.name for form in FORMATS)
        why = f"{model or 'this model'}'s chat template writes tool calls in none of the ways that covey reads ({known})"
        raise CoveyError(f"tools: {why}: leave tools out, or take another model")
    return found
