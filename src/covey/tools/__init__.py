"""Tools that a model may call: what they are, how each family of models writes a call, and how calls are read from its text.

Knows nothing of HTTP, of models or of how text comes about: the family is told by the chat template's own text.

    form = format_of(tokenizer.chat_template); reader = form.reader([tool]); reader.push(text)
"""

from covey.tools.form import ToolFormat
from covey.tools.messages import calls_tools, check_messages, for_template
from covey.tools.names import FORMATS, format_of
from covey.tools.reader import CallDelta, CallReader, Delta
from covey.tools.tool import Tool, tools_of

__all__ = [
    "FORMATS",
    "CallDelta",
    "CallReader",
    "Delta",
    "Tool",
    "ToolFormat",
    "calls_tools",
    "check_messages",
    "for_template",
    "format_of",
    "tools_of",
]
