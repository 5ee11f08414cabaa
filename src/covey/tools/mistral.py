"""The convention of Mistral 7B v0.3, Nemo and their kind: [TOOL_CALLS] and a JSON list of calls, and nothing else.

The mark is a special token, which leaves no trace in the text. See form.py.

    MistralFormat().reader(tools)
"""

from __future__ import annotations

from covey.tools.form import Special, ToolFormat
from covey.tools.reader import Marks

_MARK = "[TOOL_CALLS]"


class MistralFormat(ToolFormat):
    name = "mistral"
    key = "arguments"
    marks = Marks(opening=_MARK, closing="]", between=" \r\n[,", bare="[")
    id_length = 9  # its template refuses any other

    def recognises(self, template: str) -> bool:
        """Later models write [ARGS] between name and arguments, which without special tokens cannot be told apart."""
        return _MARK in template and "[ARGS]" not in template

    def must(self, several: bool, special: Special) -> str:
        return "start: calls\n" + self._list(several, special)

    def may(self, several: bool, special: Special) -> str:
        return "start: calls | rest\nrest: /([^\\[ \\r\\n](.|\\n)*)?/\n" + self._list(several, special)

    def _list(self, several: bool, special: Special) -> str:
        token = special(_MARK)
        mark = f'"{_MARK}"' if token is None else f"<[{token}]>"
        more = ' (", " call)*' if several else ""
        return f'calls: {mark} " "? "[" call{more} "]"\n'
