"""What people write stays text: a special token's spelling in a message must not become that token.

A chat template joins messages with special tokens into one text, in which the spelling of such a token within a message can no longer
be told from the template's own. So it is hidden from the template behind marks, and spelled out, as text, when the rest is tokenised.
Knows nothing of models.

    hidden = literals.hide(messages); ids = hidden.encode(template(hidden.shown))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer as Backend

from covey.errors import CoveyError

_MARKS = range(0xE000, 0xF900)  # Unicode's private use: characters that mean nothing


class Literals:
    """The special tokens of one tokenizer. special: their spellings and ids."""

    def __init__(self, backend: Any, special: Mapping[str, int]) -> None:
        self._backend, self.special = backend, dict(special)
        self.pattern = re.compile("|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) or r"(?!)")

    @cached_property
    def plain(self) -> Any:
        """The same tokenizer without an eye for special tokens. A copy: the switch is the object's own."""
        copy = Backend.from_str(self._backend.to_str())
        copy.encode_special_tokens = True
        return copy

    def hide(self, given: Any) -> Hidden | None:
        """What a template is given, with every such spelling in any of its texts hidden; None where there is none.

        Raises CoveyError for texts that leave no character to mark with.
        """
        texts = list(_texts(given))
        if not any(self.pattern.search(text) for text in texts):
            return None
        used = set().union(*texts)
        mark = next((chr(code) for code in _MARKS if chr(code) not in used), None)
        if mark is None:
            raise CoveyError("messages: they hold every private-use character there is; leave some out")
        spelled: list[str] = []

        def note(found: re.Match[str]) -> str:
            spelled.append(found.group())
            return f"{mark}{len(spelled) - 1}{mark}"

        return Hidden(self, _with_texts(given, lambda text: self.pattern.sub(note, text)), mark, spelled)


def _texts(given: Any) -> Iterator[str]:
    """All texts within lists and objects, names of fields too."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield from _texts(name)
            yield from _texts(value)
    elif isinstance(given, list | tuple):
        for value in given:
            yield from _texts(value)


def _with_texts(given: Any, change: Callable[[str], str]) -> Any:
    """The same with every text changed."""
    if isinstance(given, str):
        return change(given)
    if isinstance(given, Mapping):
        return {_with_texts(name, change): _with_texts(value, change) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return type(given)(_with_texts(value, change) for value in given)
    return given


@dataclass(frozen=True)
class Hidden:
    """What was hidden from a template: shown is what it gets instead, with marks in the place of special tokens' spellings."""

    literals: Literals
    shown: Any
    mark: str
    spelled: list[str]

    def encode(self, text: str) -> list[int]:
        """Token ids of the text that the template made of the messages: its own special tokens are tokens, the others text."""
        ids: list[int] = []
        at = 0
        for found in self.literals.pattern.finditer(text):
            ids += [*self._plainly(text[at : found.start()]), self.literals.special[found.group()]]
            at = found.end()
        return ids + self._plainly(text[at:])

    def _plainly(self, text: str) -> list[int]:
        shown = re.sub(f"{self.mark}(\\d+){self.mark}", lambda found: self.spelled[int(found.group(1))], text)
        ids: list[int] = self.literals.plain.encode(shown, add_special_tokens=False).ids if shown else []
        return ids
