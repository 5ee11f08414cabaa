"""Reads tool calls from an answer as it grows, and tells them from its text.

Knows the marks of a convention, not its name. What begins like a call and turns out to be none is text.

    reader = CallReader(Marks("<tool_call>", "</tool_call>", " \\n"), "arguments", {"weather"}); reader.push("Let me see. <tool")
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

from covey.tools.call import GrowingCall


@dataclass(frozen=True)
class Marks:
    """opening begins calls anywhere in a text, bare the whole of an answer that is calls; closing ends them, empty for none.
    between: characters that may stand around calls and mean nothing."""

    opening: str
    closing: str
    between: str
    bare: str = ""


@dataclass(frozen=True)
class CallDelta:
    """News of a call: its number, id and name when it begins, then its arguments in pieces, which join to a JSON text."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True)
class Delta:
    """What a piece of text came to."""

    content: str = ""
    calls: tuple[CallDelta, ...] = ()


class State(Enum):
    """Where in an answer its reader stands, when not within a call."""

    BEGINNING = auto()
    TEXT = auto()
    AMONG_CALLS = auto()


class CallReader:
    """One answer. The contents and calls of all deltas, joined, are those of the answer however its text was cut."""

    def __init__(self, marks: Marks, key: str, names: Collection[str], id_length: int = 24) -> None:
        self._marks, self._key, self._names, self._id_length = marks, key, names, id_length
        self._state = State.BEGINNING
        self._held = ""  # arrived, but not decided on
        self._skipped = ""  # what was passed over since the opening, as long as no call came of it
        self._fruitful = False  # a call came of this opening
        self._call: GrowingCall | None = None
        self._content: list[str] = []
        self._calls: list[CallDelta] = []
        self.num_calls = 0

    def push(self, text: str) -> Delta:
        """The text goes on with this."""
        self._held += text
        while self._step():
            pass
        return self._told()

    def flush(self) -> Delta:
        """The text is over: what was held back is text, or a call that was cut short."""
        if self._call is not None:
            if not self._call.begun:
                self._content.append(self._skipped + self._call.text)
        elif self._state is State.AMONG_CALLS:
            if not self._fruitful:
                self._content.append(self._skipped + self._held)
            elif not self._marks.closing.startswith(self._held):
                self._content.append(self._held)
        elif self._held.strip() or not self.num_calls:
            self._content.append(self._held)
        self._held = ""
        return self._told()

    def _told(self) -> Delta:
        delta = Delta("".join(self._content), tuple(self._calls))
        self._content, self._calls = [], []
        return delta

    def _step(self) -> bool:
        """Go as far as the text is certain; whether there may be more to do."""
        if self._call is not None:
            return self._read_call(self._call)
        return {State.BEGINNING: self._begin, State.TEXT: self._read_text, State.AMONG_CALLS: self._seek_call}[self._state]()

    def _begin(self) -> bool:
        """Tell an answer that is all calls from text."""
        first, marks = self._held.lstrip(), self._marks
        if marks.opening.startswith(first) and first != marks.opening:
            return False
        bare = marks.bare != "" and first.startswith(marks.bare) and not first.startswith(marks.opening)
        self._state = State.AMONG_CALLS if bare else State.TEXT
        return True

    def _read_text(self) -> bool:
        """Tell text up to what may be an opening; white space before it waits, for it belongs to what comes next."""
        opening = self._marks.opening
        before, found, after = self._held.partition(opening)
        certain = (before if found else before[: len(before) - _overlap(before, opening)]).rstrip()
        self._content.append(certain)
        if not found:
            self._held = self._held[len(certain) :]
            return False
        self._skipped, self._held = before[len(certain) :] + opening, after
        self._state, self._fruitful = State.AMONG_CALLS, False
        return True

    def _seek_call(self) -> bool:
        """Skip what means nothing, up to a call or the closing."""
        closing = self._marks.closing
        left = self._held.lstrip(self._marks.between)
        self._skipped += self._held[: len(self._held) - len(left)]
        self._held = left
        if closing and left.startswith(closing):
            self._held = left[len(closing) :]
            self._skipped += closing
            self._leave("")
            return True
        if not left or closing.startswith(left):
            return False
        if left[0] == "{":
            self._call = GrowingCall(self._key)
        else:
            self._leave("")
        return True

    def _read_call(self, call: GrowingCall) -> bool:
        for at, character in enumerate(self._held):
            begun = call.begun
            call.push(character)
            unknown = call.name is not None and call.name not in self._names
            if call.begun and not begun and not unknown:
                self._calls.append(CallDelta(self.num_calls, self._identity(), call.name))
                self.num_calls += 1
                self._skipped, self._fruitful = "", True
            if unknown or call.complete:
                self._held = self._held[at + 1 :]
                self._tell_arguments(call)
                self._call = None
                if unknown or not call.begun:  # what stands here is no call
                    self._leave(call.text)
                return True
        self._held = ""
        self._tell_arguments(call)
        return False

    def _tell_arguments(self, call: GrowingCall) -> None:
        if call.begun and call.name in self._names and (arguments := call.take()):
            self._calls.append(CallDelta(self.num_calls - 1, arguments=arguments))

    def _leave(self, read: str) -> None:
        """Back to text. What was skipped to get here is text, too, unless calls came of it; so is what was read for nothing."""
        self._content.append(("" if self._fruitful else self._skipped) + read)
        self._skipped, self._fruitful, self._state = "", False, State.TEXT

    def _identity(self) -> str:
        letters = string.ascii_letters + string.digits
        made = "".join(secrets.choice(letters) for _ in range(self._id_length))
        return made if self._id_length < 24 else f"call_{made}"


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of a text may be the beginning of a mark."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-size:])), 0)
