"""Readers read on as if what they were told had come: the context that they rest on is the longest that occurs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from covey.drafters.automaton import SuffixAutomaton
from covey.drafters.corpus import Corpus
from covey.drafters.readers import CorpusReader, Reader, TextReader

tokens = st.lists(st.integers(0, 3), max_size=14)


def read_on(reader: Reader, supposed: list[int]) -> None:
    for token in supposed:
        reader.forecast()
        reader.advance(token)


def longest_that_goes_on(places: list[list[int]], context: list[int], most: int) -> int:
    """The most tokens of the context's end, up to `most`, that stand somewhere with a token behind them; 0 for none."""
    for length in range(min(most, len(context)), 0, -1):
        end = context[len(context) - length :]
        if any(place[at : at + length] == end for place in places for at in range(len(place) - length)):
            return length
    return 0


@given(tokens.filter(len), tokens)
def test_a_text_reader_expects_what_followed_a_context_that_occurs(text: list[int], supposed: list[int]) -> None:
    automaton = SuffixAutomaton()
    automaton.extend(text)
    reader = TextReader(automaton)
    read_on(reader, supposed)
    forecast = reader.forecast()
    longest = longest_that_goes_on([text], text + supposed, len(text))
    assert (forecast is None) == (longest == 0)
    if forecast is not None:
        matched = reader._matched
        context = (text + supposed)[-matched:]
        assert 1 <= matched <= longest
        assert any(text[at : at + matched + 1] == [*context, forecast.token] for at in range(len(text) - matched))


@given(st.lists(tokens, max_size=4), tokens, tokens)
def test_a_corpus_reader_stands_where_a_new_one_would(written: list[list[int]], text: list[int], supposed: list[int]) -> None:
    corpus = Corpus.of(written)
    reader, new = CorpusReader(corpus, text), CorpusReader(corpus, text + supposed)
    read_on(reader, supposed)
    assert reader.forecast() == new.forecast()
    assert (reader.forecast() is None) == (longest_that_goes_on(written, text + supposed, 99) == 0)
