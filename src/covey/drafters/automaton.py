"""An online suffix automaton over one text: which suffix occurred before, and what followed it, how often, how lately.

A pure data structure. It knows nothing of sequences, drafts or probabilities.

    text = SuffixAutomaton(); text.extend([1, 2, 3, 1, 2])
    text.length[text.match], text.best(text.match)   # 2, (3, the state of "1 2 3")
"""

from __future__ import annotations

from collections.abc import Iterable

ROOT = 0


class SuffixAutomaton:
    """The minimal automaton of all substrings of a text, grown token by token (Blumer et al. 1985).

    A state stands for the substrings that end at the same set of places. For state s:

    length[s]: tokens in its longest substring.
    link[s]: the state of its longest suffix that ends at more places; -1 for the root, the empty text.
    following[s]: token -> state, for every token that followed s somewhere in the text.
    count[s]: at how many places s ends, so that count[following[s][t]] says how often t followed s.
    recent[s]: the last position at which s ends.

    A token costs amortised O(1), but for counts: all suffixes of the text end at its new end, and they are as many
    as a loop has turns ("a a a ..."), which would make n tokens cost O(n^2). So at most `walk` states, the longest
    ones, are counted for a token. In a text without long loops that is all of them and counts are exact.
    """

    def __init__(self, *, walk: int = 32) -> None:
        if walk < 2:
            raise ValueError(f"walk={walk}: walk must be at least 2, for the whole text and the match")
        self.walk = walk
        self.length = [0]
        self.link = [-1]
        self.following: list[dict[int, int]] = [{}]
        self.count = [0]
        self.recent = [-1]
        self.last = ROOT  # the state of the whole text
        self.size = 0  # tokens in the text

    @property
    def match(self) -> int:
        """The state of the longest suffix of the text that occurred before; ROOT when there is none."""
        return max(self.link[self.last], ROOT)

    def extend(self, tokens: Iterable[int]) -> None:
        """Append tokens to the text."""
        for token in tokens:
            self._append(token)

    def _append(self, token: int) -> None:
        length, link, following = self.length, self.link, self.following
        new = len(length)
        length.append(self.size + 1)
        link.append(ROOT)
        following.append({})
        self.count.append(0)
        self.recent.append(-1)
        state = self.last
        while state >= 0 and token not in following[state]:
            following[state][token] = new
            state = link[state]
        if state >= 0:
            met = following[state][token]
            link[new] = met if length[met] == length[state] + 1 else self._split(met, state, token)
        self._tally(new)
        self.last = new
        self.size += 1

    def _split(self, met: int, state: int, token: int) -> int:
        """Part the substrings of `met` up to length[state] + 1, which end at a new place, from the longer ones."""
        length, link, following = self.length, self.link, self.following
        short = len(length)
        length.append(length[state] + 1)
        link.append(link[met])
        following.append(following[met].copy())
        self.count.append(self.count[met])
        self.recent.append(self.size)
        link[met] = short
        while state >= 0 and following[state].get(token) == met:
            following[state][token] = short
            state = link[state]
        return short

    def _tally(self, state: int) -> None:
        """Count the text's end at its longest suffixes; the root, which ends everywhere, is not counted."""
        link, count, recent, end = self.link, self.count, self.recent, self.size
        for _ in range(self.walk):
            count[state] += 1
            recent[state] = end
            state = link[state]
            if state <= ROOT:
                break

    def find(self, tokens: Iterable[int]) -> int | None:
        """The state of a substring; None when the text does not hold it."""
        state: int | None = ROOT
        for token in tokens:
            state = self.following[state].get(token) if state is not None else None
        return state

    def best(self, state: int) -> tuple[int, int] | None:
        """The token that followed a state most often, of equals the latest, and its state; None when nothing did."""
        following = self.following[state]
        if len(following) == 1:
            return next(iter(following.items()))
        if not following:
            return None
        count, recent = self.count, self.recent
        return max(following.items(), key=lambda item: (count[item[1]], recent[item[1]]))

    def followed(self, state: int) -> int:
        """How many times any token followed the state: at all its places but the text's end."""
        return self.count[state] - (self.recent[state] == self.size - 1)
