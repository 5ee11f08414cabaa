"""One call as it is written: a JSON object with a name and arguments, read character by character.

Knows nothing of what stands around it, nor of which names there are.

    call = GrowingCall("arguments"); call.push('{'); ...; call.take()
"""

from __future__ import annotations

import json


class GrowingCall:
    """Tells name and arguments as early as they are certain.

    begun: the name is known, and the arguments have begun. Arguments that are a JSON text within a string, as some models
    write them, are told when they are whole. Only the shape is looked at: arguments may be cut short, or be no valid JSON.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self.text = ""
        self.name: str | None = None
        self.complete = False
        self._depth = 0
        self._quoted = self._escaped = False
        self._field: str | None = None  # whose value is being read
        self._start = 0  # where the field's name, or its value, begins
        self._arguments: tuple[int, int | None] | None = None  # where they stand in the text
        self._told = 0

    @property
    def begun(self) -> bool:
        if self.name is None or self._arguments is None:
            return False
        start, end = self._arguments
        return end is not None or self.text[start : start + 1] != '"'

    def push(self, character: str) -> None:
        """The text goes on with this one character."""
        at, self.text = len(self.text), self.text + character
        if self._quoted:
            self._in_string(character)
        elif character == '"':
            self._quoted = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
        if self._depth == 1 and not self._quoted:
            self._between_fields(character, at)
        elif self._depth == 0:
            self._end_value(at)
            self.complete = True
        if self._field == self._key and self._arguments is None and character not in ":,} \t\r\n":
            self._arguments = at, None

    def take(self) -> str:
        """The arguments that were not taken yet."""
        assert self._arguments is not None
        start, end = self._arguments
        whole = self.text[start : len(self.text) if end is None else end].rstrip()
        if whole.startswith('"'):
            whole = _unquoted(whole)
        fresh, self._told = whole[self._told :], len(whole)
        return fresh

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False

    def _between_fields(self, character: str, at: int) -> None:
        """The object's own punctuation: where a field's name ends, and where its value does."""
        if character == ":" and self._field is None:
            self._field, self._start = _unquoted(self.text[self._start : at].strip().lstrip("{,").strip()), at + 1
        elif character == ",":
            self._end_value(at)
            self._field, self._start = None, at

    def _end_value(self, end: int) -> None:
        if self._field == "name":
            self.name = _unquoted(self.text[self._start : end].strip())
        elif self._field == self._key and self._arguments is not None and self._arguments[1] is None:
            start = self._arguments[0]
            self._arguments = start, start + len(self.text[start:end].rstrip())


def _unquoted(text: str) -> str:
    """What a JSON string holds; the text itself where it is none."""
    try:
        held = json.loads(text)
    except ValueError:
        return text
    return held if isinstance(held, str) else text
