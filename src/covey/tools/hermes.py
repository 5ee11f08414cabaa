"""The convention of Hermes, Qwen 2.5 and Qwen 3: <tool_call>, a JSON object, </tool_call>, anywhere in the text.

See form.py.

    HermesFormat().reader(tools)
"""

from __future__ import annotations

from covey.tools.form import Special, ToolFormat
from covey.tools.reader import Marks


class HermesFormat(ToolFormat):
    name = "hermes"
    key = "arguments"
    marks = Marks(opening="<tool_call>", closing="</tool_call>", between=" \r\n")

    def recognises(self, template: str) -> bool:
        """Qwen 3 Coder and GLM use the same tags around calls that are no JSON."""
        return "<tool_call>" in template and "<function=" not in template and "<arg_key>" not in template

    def must(self, several: bool, special: Special) -> str:
        more = ' ("\\n" block)*' if several else ""
        return f'start: block{more}\nblock: "<tool_call>\\n" call "\\n</tool_call>"\n'

    def may(self, several: bool, special: Special) -> str:
        start = 'start: (head call "\\n</tool_call>")* rest' if several else 'start: rest | head call "\\n</tool_call>"'
        return start + "\nhead[lazy]: /(.|\\n)*?<tool_call>\\n/\nrest: /(.|\\n)*/\n"
