"""The convention of Llama 3.1 and 3.2: an answer that is one JSON object of a name and parameters, and nothing else.

Before it the special token <|python_tag|> may stand, which leaves no trace in the text. See form.py.

    Llama3Format().reader(tools)
"""

from __future__ import annotations

import re

from covey.tools.form import Special, ToolFormat
from covey.tools.reader import Marks


class Llama3Format(ToolFormat):
    name = "llama3"
    key = "parameters"
    marks = Marks(opening="<|python_tag|>", closing="", between=" \r\n;", bare="{")

    def recognises(self, template: str) -> bool:
        return "ipython" in template and re.search(r'"parameters\\?":', template) is not None

    def must(self, several: bool, special: Special) -> str:
        """Its template takes no more than one call, so no more is asked for."""
        return "start: call\n"

    def may(self, several: bool, special: Special) -> str:
        return "start: call | rest\nrest: /([^{ \\r\\n](.|\\n)*)?/\n"
