"""A read-only text of what a target wrote before, and what followed any run of tokens in it, how often.

A pure data structure. It knows nothing of sequences, drafts or probabilities.

    corpus = Corpus.of([[1, 2, 3], [1, 2, 4], [1, 2, 4]])
    corpus.best(corpus.longest([9, 1, 2]))      # 4, the place of "1 2 4"
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from covey.errors import CoveyError

SEPARATOR = (1 << 32) - 1  # between texts; the largest number, so that it ends the sorted continuations of a place
_SMALL_SEPARATOR = (1 << 16) - 1  # the same in a file with two bytes a token
_DEPTH = 64  # suffixes are sorted by so many tokens; runs longer than that are not looked for
_REMEMBERED = 1 << 16  # places whose continuations are kept: short runs that occur thousands of times come again and again


class Place(NamedTuple):
    """Where a run of `length` tokens occurs: at the suffixes with numbers from `low` to below `high` in sorted order."""

    low: int
    high: int
    length: int

    @property
    def occurrences(self) -> int:
        return self.high - self.low


class Corpus:
    """Texts one behind the other, and their suffix array (Manber and Myers 1990): 12 bytes a token.

    tokens: uint32 [T], a SEPARATOR behind each text. description: what is known of their origin, as text.
    """

    def __init__(self, tokens: numpy.ndarray, description: dict[str, str] | None = None) -> None:
        self.tokens = tokens.astype(numpy.uint32)
        self.description = dict(description or {})
        self._order = _suffix_array(self.tokens)
        # Big-endian numbers compare like the bytes that they are, so runs are compared by the interpreter's memcmp.
        self._raw = self.tokens.astype(">u4").tobytes()
        self._starts = memoryview(self._order)  # type: ignore[arg-type]  # numpy arrays are buffers
        # Where the suffixes that begin with each token do: half of the way to a run, as tokens are distributed.
        first = self.tokens[self._order]
        largest = int(first[first != SEPARATOR].max(initial=0))
        self._bounds: list[int] = numpy.searchsorted(first, numpy.arange(largest + 2, dtype=numpy.uint32)).tolist()
        self.best = lru_cache(maxsize=_REMEMBERED)(self._best)

    @classmethod
    def of(cls, texts: Iterable[Sequence[int]], description: dict[str, str] | None = None) -> Corpus:
        return cls(numpy.fromiter(chain.from_iterable((*text, SEPARATOR) for text in texts), numpy.uint32), description)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def nbytes(self) -> int:
        """Memory, but for the continuations that are remembered."""
        return int(self.tokens.nbytes + self._order.nbytes + len(self._raw))

    @property
    def vocabulary(self) -> str | None:
        """The fingerprint of the tokenizer that wrote it, where known."""
        return self.description.get("vocabulary")

    @property
    def everywhere(self) -> Place:
        """The place of the empty run."""
        return Place(0, len(self), 0)

    def find(self, run: Sequence[int]) -> Place:
        """Where a run of at most 64 tokens occurs; nowhere is a place without occurrences."""
        if not run:
            return self.everywhere
        if run[0] + 1 >= len(self._bounds):
            return Place(len(self), len(self), len(run))
        sought = numpy.asarray(run, ">u4").tobytes()
        width = len(sought)
        raw, starts = self._raw, self._starts

        def run_at(number: int) -> bytes:
            at = starts[number] * 4
            return raw[at : at + width]

        numbers, begin, end = range(len(self)), self._bounds[run[0]], self._bounds[run[0] + 1]
        low = bisect_left(numbers, sought, begin, end, key=run_at)
        return Place(low, bisect_right(numbers, sought, low, end, key=run_at), len(run))

    def longest(self, text: Sequence[int], limit: int = _DEPTH) -> Place:
        """The place of the longest suffix of the text that occurs, of at most `limit` tokens; everywhere if none does."""
        shortest_absent = min(limit, len(text), _DEPTH) + 1
        found, length = self.everywhere, 0
        while shortest_absent - length > 1:  # whether a suffix occurs is monotone in its length
            # Matches are short: look near the known one before halving what is left.
            tried = min(2 * length + 1, (length + shortest_absent) // 2)
            place = self.find(text[len(text) - tried :])
            if place.occurrences:
                found, length = place, tried
            else:
                shortest_absent = tried
        return found

    def _best(self, place: Place) -> tuple[int, Place] | None:
        """The token that follows a place most often, of equals the lowest, and where it does; None when nothing does."""
        following, bounds = self._runs(place)
        if len(bounds) < 2:
            return None
        chosen = int(numpy.diff(bounds).argmax())
        low, high = int(bounds[chosen]), int(bounds[chosen + 1])
        return int(following[low]), Place(place.low + low, place.low + high, place.length + 1)

    def followers(self, place: Place, most: int) -> list[tuple[int, int]]:
        """The tokens that follow a place most often, at most so many, and how often each does."""
        following, bounds = self._runs(place)
        counts = numpy.diff(bounds)
        best = numpy.argsort(-counts, kind="stable")[:most]
        return list(zip(following[bounds[best]].tolist(), counts[best].tolist(), strict=True))

    def _runs(self, place: Place) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The tokens behind each occurrence, in ascending order, and where the runs of equal ones begin and end."""
        if place.length >= _DEPTH:
            return numpy.zeros(0, numpy.uint32), numpy.zeros(1, numpy.int64)  # what follows there is in no order
        following = self._following(place)
        stop = int(numpy.searchsorted(following, SEPARATOR))  # separators, and what ends the corpus, come last
        borders = numpy.flatnonzero(following[1:stop] != following[: max(0, stop - 1)]) + 1
        return following, numpy.concatenate([[0], borders, [stop] if stop else []]).astype(numpy.int64)

    def _following(self, place: Place) -> numpy.ndarray:
        """The tokens behind each occurrence, in ascending order."""
        at = self._order[place.low : place.high].astype(numpy.int64) + place.length
        return self.tokens[numpy.minimum(at, len(self) - 1)]  # the last token is a separator

    def texts(self) -> list[list[int]]:
        """The texts that it was made of, in order."""
        ends = numpy.flatnonzero(self.tokens == SEPARATOR)
        return [part[part != SEPARATOR].tolist() for part in numpy.split(self.tokens, ends + 1)[: len(ends)]]

    def save(self, path: Path) -> None:
        """Write tokens and description; two bytes a token where that is enough."""
        small = self.tokens[self.tokens != SEPARATOR].max(initial=0) < _SMALL_SEPARATOR
        tokens = numpy.where(self.tokens == SEPARATOR, _SMALL_SEPARATOR, self.tokens).astype(numpy.uint16) if small else self.tokens
        save_file({"tokens": tokens}, path, metadata=self.description)

    @classmethod
    def load(cls, path: Path) -> Corpus:
        """Read a saved corpus and sort it: about a second for a million tokens. Raises CoveyError for a file that is none."""
        try:
            with safe_open(path, "numpy") as file:
                tokens, description = file.get_tensor("tokens"), file.metadata()
        except (OSError, SafetensorError) as error:
            raise CoveyError(f"corpus={str(path)!r}: not a readable corpus ({error}); build it with covey corpus") from None
        if tokens.dtype == numpy.uint16:
            tokens = numpy.where(tokens == _SMALL_SEPARATOR, SEPARATOR, tokens.astype(numpy.uint32))
        return cls(tokens, description)


def _suffix_array(tokens: numpy.ndarray) -> numpy.ndarray:
    """The order of all suffixes by their first 64 tokens, of equals by position: uint32 [T]; by doubling, O(T log T) each."""
    size, depth = len(tokens), 1
    rank = numpy.unique(tokens, return_inverse=True)[1].astype(numpy.int64)
    order = numpy.argsort(rank, kind="stable")
    while depth < _DEPTH and size:
        behind = numpy.full(size, -1, numpy.int64)
        behind[:-depth] = rank[depth:]
        key = rank * (size + 1) + behind + 1
        order = numpy.argsort(key, kind="stable")
        in_order = key[order]
        fresh = numpy.concatenate([[0], numpy.cumsum(in_order[1:] != in_order[:-1])])
        rank[order] = fresh
        if fresh[-1] == size - 1:
            break
        depth *= 2
    return order.astype(numpy.uint32)
