"""The suffix automaton against brute force."""

from __future__ import annotations

from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.drafters.automaton import ROOT, SuffixAutomaton

Text = list[int]
texts = st.integers(1, 4).flatmap(lambda letters: st.lists(st.integers(0, letters - 1), max_size=24))
UNCAPPED = 1_000


def automaton(text: Text, walk: int = UNCAPPED) -> SuffixAutomaton:
    made = SuffixAutomaton(walk=walk)
    made.extend(text)
    return made


def ends(text: Text, part: tuple[int, ...]) -> list[int]:
    """The positions of the last token of every occurrence."""
    return [i + len(part) - 1 for i in range(len(text) - len(part) + 1) if tuple(text[i : i + len(part)]) == part]


def parts(text: Text) -> set[tuple[int, ...]]:
    return {tuple(text[i:j]) for i in range(len(text)) for j in range(i + 1, len(text) + 1)}


def longest_match(text: Text) -> int:
    """Tokens in the longest suffix that occurred before, overlapping or not."""
    return next(n for n in range(len(text), -1, -1) if n == 0 or len(ends(text, tuple(text[-n:]))) > 1)


@given(texts)
def test_match_is_longest_suffix_that_occurred_before(text: Text) -> None:
    made = SuffixAutomaton(walk=UNCAPPED)
    for i, token in enumerate(text):
        made.extend([token])
        assert made.length[made.match] == longest_match(text[: i + 1])


@given(texts)
def test_match_state_is_the_suffix(text: Text) -> None:
    made = automaton(text)
    matched = made.length[made.match]
    assert made.match == (made.find(text[-matched:]) if matched else ROOT)


@given(texts)
def test_counts_are_numbers_of_occurrences(text: Text) -> None:
    made = automaton(text)
    for part in parts(text):
        state = made.find(part)
        assert state is not None
        assert made.count[state] == len(ends(text, part))


@given(texts)
def test_recent_is_the_last_occurrence(text: Text) -> None:
    made = automaton(text)
    for part in parts(text):
        state = made.find(part)
        assert state is not None
        assert made.recent[state] == ends(text, part)[-1]


@given(texts)
def test_transitions_are_the_tokens_that_followed_with_their_counts(text: Text) -> None:
    made = automaton(text)
    for part in parts(text):
        state = made.find(part)
        assert state is not None
        followers = [text[end + 1] for end in ends(text, part) if end + 1 < len(text)]
        assert {t: made.count[s] for t, s in made.following[state].items()} == {t: followers.count(t) for t in followers}
        assert made.followed(state) == len(followers)


@given(texts)
def test_best_is_most_frequent_then_latest(text: Text) -> None:
    made = automaton(text)
    for part in parts(text):
        state = made.find(part)
        assert state is not None
        followers = [text[end + 1] for end in ends(text, part) if end + 1 < len(text)]
        latest = {token: place for place, token in enumerate(followers)}
        best = made.best(state)
        assert (best and best[0]) == (max(latest, key=lambda t: (followers.count(t), latest[t])) if followers else None)


@given(texts, st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_find_knows_exactly_the_substrings(text: Text, part: Text) -> None:
    assert (automaton(text).find(part) is not None) == bool(ends(text, tuple(part)))


@given(texts)
def test_the_cap_changes_counts_only(text: Text) -> None:
    capped, exact = automaton(text, walk=2), automaton(text)
    assert (capped.length, capped.link, capped.following) == (exact.length, exact.link, exact.following)


class CountingList(list[int]):
    """A list that counts how often an element is read."""

    reads = 0

    def __getitem__(self, index: SupportsIndex) -> int:  # type: ignore[override]
        self.reads += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("period", [1, 2, 7])
def test_a_loop_costs_a_bounded_number_of_steps_per_token(period: int) -> None:
    made = SuffixAutomaton(walk=32)
    made.link = links = CountingList(made.link)
    tokens = 3_000  # with every suffix counted, a loop of period p would take tokens**2 / 2p steps
    made.extend(i % period for i in range(tokens))
    assert links.reads <= tokens * (made.walk + 4)


def test_a_loop_is_still_matched_whole() -> None:
    made = automaton([5] * 500, walk=4)
    assert made.length[made.match] == 499


def test_empty_text_has_no_match() -> None:
    made = SuffixAutomaton()
    assert (made.match, made.best(made.match)) == (ROOT, None)


def test_walk_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="walk=1"):
        SuffixAutomaton(walk=1)
