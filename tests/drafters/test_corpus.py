"""The corpus against a search by hand: where runs occur, the longest suffix that does, what followed most often."""

from __future__ import annotations

from collections import Counter

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.drafters.corpus import SEPARATOR, Corpus
from covey.errors import CoveyError

Texts = list[list[int]]
texts = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=6)
run = st.lists(st.integers(0, 4), max_size=6)


def occurrences(written: Texts, sought: list[int]) -> list[int]:
    """What stands behind each occurrence; SEPARATOR at a text's end."""
    return [
        [*text, SEPARATOR][at + len(sought)]
        for text in written
        for at in range(len(text) - len(sought) + 1)
        if text[at : at + len(sought)] == sought
    ]


@given(texts, run.filter(len))
def test_a_place_counts_all_occurrences(written: Texts, sought: list[int]) -> None:
    assert Corpus.of(written).find(sought).occurrences == len(occurrences(written, sought))


@given(texts, run)
def test_longest_is_the_longest_suffix_that_occurs(written: Texts, text: list[int]) -> None:
    corpus = Corpus.of(written)
    lengths = [n for n in range(1, len(text) + 1) if occurrences(written, text[-n:])]
    found = corpus.longest(text)
    assert found.length == max(lengths, default=0)
    assert found == (corpus.find(text[-found.length :]) if found.length else corpus.everywhere)


@given(texts, run.filter(len))
def test_best_followed_most_often(written: Texts, sought: list[int]) -> None:
    corpus = Corpus.of(written)
    behind = Counter(token for token in occurrences(written, sought) if token != SEPARATOR)
    best = corpus.best(corpus.find(sought))
    if not behind:
        assert best is None
    else:
        assert best is not None
        token, place = best
        assert behind[token] == max(behind.values()) and token == min(t for t in behind if behind[t] == behind[token])
        assert place == corpus.find([*sought, token])


def test_nothing_is_claimed_beyond_the_depth_of_the_order() -> None:
    corpus = Corpus.of([[1] * 200])
    place = corpus.longest([1] * 100)
    assert place.length == 64
    assert corpus.best(place) is None
    token, at = corpus.best(corpus.longest([1] * 100, limit=63)) or (0, corpus.everywhere)
    assert (token, at.length) == (1, 64)


@pytest.mark.parametrize("largest", [5, 70_000])
def test_a_saved_corpus_is_the_same(tmp_path, largest: int) -> None:
    written = [[1, 2, largest], [1, 2]]
    Corpus.of(written, {"target": "toy"}).save(tmp_path / "c.safetensors")
    corpus = Corpus.load(tmp_path / "c.safetensors")
    assert numpy.array_equal(corpus.tokens, Corpus.of(written).tokens)
    assert corpus.description == {"target": "toy"}


def test_what_is_no_corpus_is_refused(tmp_path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"junk")
    for name in ("c.safetensors", "none.safetensors"):
        with pytest.raises(CoveyError, match=f"{name}.*not a readable corpus"):
            Corpus.load(tmp_path / name)
