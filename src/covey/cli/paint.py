"""Shows whose every piece of an answer is: accepted drafts and who voted for them, rejected drafts, the target's own tokens.

Knows chunks and their rounds; knows nothing of models or of where the text goes.

    for chunk in llm.stream(prompt): console.print(painter.paint(chunk), end="")
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from rich.console import Console
from rich.text import Text

from covey.cli.screen import harmless

if TYPE_CHECKING:
    from covey.llm import Chunk
    from covey.types import Round

Owner = Literal["accepted", "rejected", "target"]
_CONTEXT = 8  # tokens before a rejected draft that its text may depend on


class _Tokenizer(Protocol):
    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str: ...


@dataclass(frozen=True)
class Segment:
    """A piece of text and whose it is. Rejected text is not part of the answer. voters: who was for it, in a collective."""

    text: str
    owner: Owner
    voters: tuple[str, ...] = ()


class Owners:
    """Splits the text of one streamed completion into segments. What is not rejected, joined, is exactly that text."""

    def __init__(self, tokenizer: _Tokenizer) -> None:
        from covey.model.tokenizer import TextStream

        self._tokenizer = tokenizer
        self._stream = TextStream(tokenizer)
        self._committed: list[int] = []
        self._waiting: deque[Segment] = deque()  # pieces whose text the engine still holds back

    def split(self, chunk: Chunk) -> list[Segment]:
        if chunk.round is not None:
            self._take(chunk.round)
        if chunk.finish_reason is not None:
            self._waiting.append(Segment(self._stream.flush(), "target"))
        return _merged(self._release(chunk.text))

    def _take(self, happened: Round) -> None:
        winners = happened.winners
        for number, token in enumerate(happened.tokens):
            if number == happened.accepted:
                self._waiting.append(Segment(self._rejected(happened.drafted[number:]), "rejected"))
            owner: Owner = "accepted" if number < happened.won else "target"
            voters = winners[number] if owner == "accepted" and (happened.votes or happened.members) else ()
            self._waiting.append(Segment(self._stream.push([token]), owner, voters))
            self._committed.append(token)

    def _rejected(self, tokens: tuple[int, ...]) -> str:
        before = self._committed[-_CONTEXT:]
        return self._tokenizer.decode([*before, *tokens])[len(self._tokenizer.decode(before)) :]

    def _release(self, text: str) -> list[Segment]:
        """As many pieces as the text is long. The text itself is what is shown: pieces only say whose it is."""
        released, at = [], 0
        while self._waiting and (at < len(text) or self._waiting[0].owner == "rejected" or not self._waiting[0].text):
            piece = self._waiting.popleft()
            if piece.owner == "rejected":
                released.append(piece)
                continue
            room = len(text) - at
            released.append(Segment(text[at : at + len(piece.text)], piece.owner, piece.voters))
            if len(piece.text) > room:
                self._waiting.appendleft(Segment(piece.text[room:], piece.owner, piece.voters))
            at += min(room, len(piece.text))
        return [*released, Segment(text[at:], "target")]


def _merged(segments: list[Segment]) -> list[Segment]:
    """Without empty segments, and with neighbours of one owner joined."""
    merged: list[Segment] = []
    for segment in segments:
        if merged and (merged[-1].owner, merged[-1].voters) == (segment.owner, segment.voters):
            merged[-1] = Segment(merged[-1].text + segment.text, segment.owner, segment.voters)
        elif segment.text:
            merged.append(segment)
    return merged


class Painter(Protocol):
    """How segments look."""

    legend: Text

    def paint(self, segments: list[Segment]) -> Text: ...


class Colours:
    """For terminals: accepted drafts green, rejected ones red and struck through. What one member of a collective alone was for has
    that member's colour; members get theirs as they turn up."""

    _STYLES: ClassVar[dict[Owner, str]] = {"accepted": "green", "rejected": "red strike", "target": ""}
    _MEMBERS = ("cyan", "yellow", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_magenta", "bright_blue")

    def __init__(self, members: tuple[str, ...] = ()) -> None:
        self._members = list(members)
        legend: list[str | tuple[str, str]] = [("accepted drafts", "green"), ", ", ("rejected drafts", "red strike")]
        if len(members) > 1:
            legend = [("accepted drafts of several", "green"), *((f", {name} alone", self._colour(name)) for name in members), *legend[1:]]
        self.legend = Text.assemble(*legend, ", the model's own tokens")

    def paint(self, segments: list[Segment]) -> Text:
        return Text.assemble(*((_shown(s), self._style(s)) for s in segments))

    def _style(self, segment: Segment) -> str:
        alone = segment.owner == "accepted" and len(segment.voters) == 1
        return self._colour(segment.voters[0]) if alone else self._STYLES[segment.owner]

    def _colour(self, name: str) -> str:
        if name not in self._members:
            self._members.append(name)
        return self._MEMBERS[self._members.index(name) % len(self._MEMBERS)]


class Marks:
    """For files and pipes, as word-diff tools mark them: {+accepted+}, [-rejected-]."""

    _MARKS: ClassVar[dict[Owner, tuple[str, str]]] = {"accepted": ("{+", "+}"), "rejected": ("[-", "-]"), "target": ("", "")}
    legend = Text("{+accepted drafts+}, [-rejected drafts-], the model's own tokens")

    def paint(self, segments: list[Segment]) -> Text:
        return Text("".join(_shown(s).join(self._MARKS[s.owner]) for s in segments))


def painter_for(console: Console, members: tuple[str, ...] = ()) -> Painter:
    """Colours where they can be seen. members: of a collective."""
    return Colours(members) if console.is_terminal and not console.no_color else Marks()


def _shown(segment: Segment) -> str:
    text = harmless(segment.text)
    # A rejected line end would tear the answer apart.
    return text.replace("\n", "↵").replace("\t", " ") if segment.owner == "rejected" else text
