"""The text of one completion as it grows: what may be shown, and where a stop string ends it.

Knows tokenizers only by `TextStream`; knows nothing of sequences or sampling.

    text = OutputText(TextStream(tokenizer), stop=("END",)); shown = text.push([5, 7]); text.stopped
"""

from __future__ import annotations

from covey.model.tokenizer import TextStream


class OutputText:
    """Collects the text of committed tokens, holding back what might yet become a stop string."""

    def __init__(self, stream: TextStream, stop: tuple[str, ...]) -> None:
        self._stream = stream
        self._stop = stop
        self._text = ""
        self._shown = 0
        self._searched = 0  # a stop string may not begin before this: it was not in force yet
        self.stopped = False

    @property
    def text(self) -> str:
        """All text so far, up to the stop string if one came."""
        return self._text

    def push(self, token: int, stop_counts: bool = True) -> None:
        """Add a token's text. While stop strings do not count yet (min_tokens), text passes them by."""
        self._add(self._stream.push([token]), stop_counts)

    def finish(self, stop_counts: bool = True) -> None:
        """No more tokens: bytes that never became a character are resolved."""
        if not self.stopped:
            self._add(self._stream.flush(), stop_counts)

    def _add(self, new: str, stop_counts: bool) -> None:
        self._text += new
        if not stop_counts:
            self._searched = len(self._text)
            return
        if not new or not self._stop:
            return
        earliest = max(self._searched, len(self._text) - len(new) - max(map(len, self._stop)) + 1)
        found = [at for s in self._stop if (at := self._text.find(s, earliest)) >= 0]
        if found:
            self._text = self._text[: min(found)]
            self.stopped = True

    def take(self, final: bool = False) -> str:
        """Text not taken before; until the end all but a tail that is the beginning of a stop string."""
        end = len(self._text) if final or self.stopped else len(self._text) - self._held_back()
        new = self._text[self._shown : end] if end > self._shown else ""
        self._shown = max(self._shown, end)
        return new

    def _held_back(self) -> int:
        longest = 0
        for stop in self._stop:
            for size in range(min(len(stop) - 1, len(self._text) - self._shown), longest, -1):
                if self._text.endswith(stop[:size]):
                    longest = size
                    break
        return longest
