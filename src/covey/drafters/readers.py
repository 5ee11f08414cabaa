"""Readers: each reads on in one place from where the text stands, and says what it expects next, token by token.

`TextReader` reads in the sequence's own text, `CorpusReader` in a corpus of what the target wrote before. A forecast's
kind is the class of evidence that it rests on; how far that kind can be trusted is for a `HitTable` to say.

    reader = TextReader(automaton); reader.forecast(); reader.advance(7)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from covey.drafters.automaton import ROOT, SuffixAutomaton
from covey.drafters.corpus import Corpus
from covey.drafters.hits import HitTable, logistic_prior

# Forecasts are classed by the tokens of context that they rest on (the lower ends of the classes) ...
_LENGTHS = (1, 2, 3, 4, 5, 8, 16, 32)
# ... and by what the other reader expects at the same position: nothing, the same, or something else.
ALONE, AGREED, OPPOSED = range(3)
_COMPANIES = 3
_MOST_TOLD = 16  # tokens that a context is said to be followed by


@dataclass(frozen=True)
class Forecast:
    """An expected token, and the kind of evidence for it without regard to company."""

    token: int
    kind: int

    def kind_in(self, company: int) -> int:
        """The kind in a HitTable, company included."""
        return self.kind * _COMPANIES + company


class Reader(Protocol):
    """Reads on from where the text stands."""

    def forecast(self) -> Forecast | None:
        """The token expected next; None where this kind of context never occurred."""
        ...

    def counts(self) -> list[tuple[int, int]]:
        """Which tokens followed the context of the last forecast, and how often, the most frequent first."""
        ...

    def advance(self, token: int) -> None:
        """Suppose that this token came."""
        ...


def _length_class(matched: int) -> int:
    return bisect_right(_LENGTHS, matched) - 1


class TextReader:
    """What followed the longest suffix of the text that occurred before in it: the most frequent, then the latest.

    A forecast is further classed by how the context was followed before (once; more than once and always so; half the
    time; less often), and by what the next shorter context that occurred elsewhere too says (there is none; the same
    always; not always).
    """

    _ONCE, _ALWAYS, _MOSTLY, _SELDOM = range(4)
    _UNBACKED, _AGREED, _DOUBTED = range(3)

    # Log-odds of a hit as a sum over the classes: logistic regression on 9,040 forecasts of what SmolLM2-135M-Instruct
    # wrote for 144 prompts of nine kinds, its repetition loops left out; company: see docs/log.md, "the corpus".
    _ODDS = (
        (-0.74, 0.44, 0.73, 1.17, 1.29, 1.97, 2.7, 3.75),
        (0.0, 1.04, -0.67, -1.16),
        (0.0, 1.12, -0.66),
        (0.0, 1.3, -0.26),
    )

    def __init__(self, text: SuffixAutomaton, min_match: int = 1) -> None:
        self._text, self._min_match = text, min_match
        self._state = text.match
        self._matched = text.length[self._state]
        self._expected: tuple[int, int] | None = None

    @classmethod
    def hit_table(cls) -> HitTable:
        return HitTable(logistic_prior(*cls._ODDS))

    def forecast(self) -> Forecast | None:
        text = self._text
        self._expected = None
        while self._matched >= self._min_match:
            self._expected = text.best(self._state)
            if self._expected is not None:
                token, after = self._expected
                return Forecast(token, self._kind(after))
            # The draft has reached the text's end, as in a loop: read on from the match before it.
            self._state = text.link[self._state]
            self._matched = text.length[self._state]
        return None

    def counts(self) -> list[tuple[int, int]]:
        text = self._text
        ranked = sorted(text.following[self._state].items(), key=lambda each: (-text.count[each[1]], -text.recent[each[1]]))
        return [(token, max(1, text.count[after])) for token, after in ranked[:_MOST_TOLD]]  # in a long loop not all are counted

    def advance(self, token: int) -> None:
        if self._expected is not None and self._expected[0] == token:
            self._state, self._matched = self._expected[1], self._matched + 1
            return
        text, state, matched = self._text, self._state, self._matched
        while state >= ROOT and token not in text.following[state]:
            state = text.link[state]
            matched = text.length[state] if state >= ROOT else 0
        self._state, self._matched = (text.following[state][token], matched + 1) if state >= ROOT else (ROOT, 0)

    def _kind(self, after: int) -> int:
        """The class of the forecast that `after` follows the state."""
        text, state = self._text, self._state
        if len(text.following[state]) == 1:
            support = self._ONCE if text.count[after] <= 1 else self._ALWAYS
        else:
            support = self._MOSTLY if 2 * text.count[after] >= text.followed(state) else self._SELDOM
        return (_length_class(self._matched) * 4 + support) * 3 + self._backing(text.link[state])

    def _backing(self, shorter: int) -> int:
        """What the next shorter context says: all that followed the longer one followed it too, so one is the same one."""
        if shorter <= ROOT:
            return self._UNBACKED
        return self._AGREED if len(self._text.following[shorter]) == 1 else self._DOUBTED


class CorpusReader:
    """What followed the longest suffix of the text that occurs in the corpus, most often.

    A forecast is further classed by the share of the context's occurrences that it followed, and by how many they are.
    """

    _SHARES = (0.15, 0.3, 0.5, 0.7, 0.9, 1.0)
    _OCCURRENCES = (2, 4, 16)
    _LONGEST = 32

    # Logistic regression, as above: docs/log.md, "the corpus".
    _ODDS = (
        (-4.2, -4.0, -3.6, -3.3, -3.05, -2.25, -1.8, -1.8),
        (0.0, 0.3, 0.9, 1.6, 2.0, 2.6, 3.1),
        (0.0, 0.8, 1.6, 2.3),
        (0.0, 2.2, -1.4),
    )

    def __init__(self, corpus: Corpus, text: Sequence[int]) -> None:
        self._corpus = corpus
        self._tail = list(text[-self._LONGEST :])
        self._place = corpus.longest(self._tail)

    @classmethod
    def hit_table(cls) -> HitTable:
        return HitTable(logistic_prior(*cls._ODDS))

    def forecast(self) -> Forecast | None:
        while self._place.length:
            best = self._corpus.best(self._place)
            if best is not None:
                token, after = best
                return Forecast(token, self._kind(after.occurrences))
            self._place = self._corpus.longest(self._tail, self._place.length - 1)
        return None

    def counts(self) -> list[tuple[int, int]]:
        return self._corpus.followers(self._place, _MOST_TOLD)

    def advance(self, token: int) -> None:
        self._tail.append(token)
        best = self._corpus.best(self._place) if self._place.length else None
        if best is not None and best[0] == token:
            self._place = best[1]
        else:
            self._place = self._corpus.longest(self._tail, self._place.length + 1)

    def _kind(self, followed: int) -> int:
        place = self._place
        share = bisect_right(self._SHARES, followed / place.occurrences)
        support = bisect_right(self._OCCURRENCES, place.occurrences)
        return (_length_class(place.length) * 7 + share) * 4 + support
