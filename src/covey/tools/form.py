"""How a family of models writes tool calls: where they stand in its text, and the grammar of an answer that must call.

A form is a chat template's convention. Knows nothing of requests.

    form.calls(tools, several=True, special=tokenizer.special_id)  ->  Grammar
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from collections.abc import Sequence as Seq

from covey.sampling_params import Grammar
from covey.tools.reader import CallReader, Marks
from covey.tools.tool import Tool

Special = Callable[[str], int | None]


class ToolFormat(ABC):
    """One convention. `marks` say where calls are; `key` is what a call's arguments are called.

    A call is a JSON object of the name and the arguments, in this order where a grammar writes it. special gives the id of a
    special token by its text, None for a vocabulary without it: such a token cannot be spelled.
    """

    name: str
    key: str
    marks: Marks
    id_length = 24

    @abstractmethod
    def recognises(self, template: str) -> bool:
        """Whether a chat template follows this convention."""

    @abstractmethod
    def must(self, several: bool, special: Special) -> str:
        """Lark rules for an answer that is one call or, where asked for, several; they refer to the rule `call`."""

    @abstractmethod
    def may(self, several: bool, special: Special) -> str:
        """The same for an answer that is text, or calls, or both where the convention has it so."""

    def calls(self, tools: Seq[Tool], several: bool, special: Special) -> Grammar:
        """The grammar of an answer that calls one of these tools, or several times."""
        return Grammar("lark", self.must(several, special) + self._call(tools))

    def calls_or_text(self, tools: Seq[Tool], several: bool, special: Special) -> Grammar:
        """The grammar of an answer that may call, but not in any other way."""
        return Grammar("lark", self.may(several, special) + self._call(tools))

    def reader(self, tools: Seq[Tool]) -> CallReader:
        """Reads one answer as it grows."""
        return CallReader(self.marks, self.key, frozenset(tool.name for tool in tools), self.id_length)

    def _call(self, tools: Seq[Tool]) -> str:
        """Each tool has a rule of its own, so that references within its schema mean that schema."""
        lines = ["call: " + " | ".join(f"call_{i}" for i in range(len(tools)))]
        for i, tool in enumerate(tools):
            head = f'{{"name": {json.dumps(tool.name)}, "{self.key}": '
            lines += [f'call_{i}: {json.dumps(head)} arguments_{i} "}}"', f"arguments_{i}: %json {json.dumps(tool.parameters)}"]
        return "\n".join(lines) + "\n"
