"""The suffix drafter: what it proposes, how it learns, what it forgets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.drafters.automaton import SuffixAutomaton
from covey.drafters.corpus import Corpus
from covey.drafters.readers import CorpusReader, TextReader
from covey.drafters.suffix import SuffixDrafter
from covey.errors import UnsupportedError
from covey.sampling_params import SamplingParams
from covey.types import Draft, Host, Sequence

END = 999


def sequence(*tokens: int, id: int = 0) -> Sequence:
    return Sequence(id=id, prompt=tokens, params=SamplingParams(max_tokens=10_000), end_ids=frozenset({END}))


def propose(drafter: SuffixDrafter, text: Sequence, length: int = 8) -> Draft:
    (draft,) = drafter.propose([text], [length])
    return draft


def eager() -> SuffixDrafter:
    """Drafts to the length given, whatever its estimate."""
    return SuffixDrafter(min_survival=0.0)


def test_a_repetition_is_drafted_as_it_was() -> None:
    words = random.Random(0).sample(range(900), 60)
    for read in range(1, 50):
        draft = propose(eager(), sequence(*words, *words[:read]), 10)
        assert list(draft.tokens) == words[read : read + 10]


def test_a_loop_is_drafted_past_the_end_of_the_text() -> None:
    assert propose(eager(), sequence(*[1, 2, 3] * 4), 8).tokens == (1, 2, 3, 1, 2, 3, 1, 2)


def test_the_longest_context_decides() -> None:
    text = sequence(1, 2, 7, 4, 2, 8, 5, 2, 8, 6, 1, 2)  # 2 -> 8 twice, but 1 2 -> 7
    assert propose(eager(), text, 1).tokens == (7,)


def test_the_most_frequent_continuation_wins() -> None:
    assert propose(eager(), sequence(3, 1, 4, 1, 4, 2, 5, 3, 6, 1), 1).tokens == (4,)


def test_of_equally_frequent_continuations_the_latest_wins() -> None:
    assert propose(eager(), sequence(1, 5, 2, 1, 6, 3, 1), 1).tokens == (6,)


def test_a_draft_belongs_to_its_text() -> None:
    text = sequence(1, 2, 1)
    draft = propose(eager(), text)
    assert not draft.stale(text)
    assert draft.source == "suffix"


def test_new_text_gets_an_empty_draft_that_is_not_stale() -> None:
    text = sequence(1, 2, 3)
    draft = propose(eager(), text)
    assert len(draft) == 0
    assert not draft.stale(text)


def test_nothing_is_drafted_after_an_end_token() -> None:
    assert propose(eager(), sequence(1, 2, END, 3, 4, 1), 8).tokens == (2, END)


def test_contexts_shorter_than_min_match_are_left_alone() -> None:
    text = sequence(1, 2, 9, 1, 2)
    assert len(propose(SuffixDrafter(min_match=2, min_survival=0.0), text)) > 0
    assert len(propose(SuffixDrafter(min_match=3, min_survival=0.0), text)) == 0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 12), st.sampled_from([0.0, 0.2, 0.6]))
def test_length_survival_and_threshold_are_respected(tokens: list[int], length: int, threshold: float) -> None:
    draft = propose(SuffixDrafter(min_survival=threshold), sequence(*tokens), length)
    assert len(draft) <= length
    assert all(0 < s <= 1 and s >= threshold for s in draft.survival)
    assert list(draft.survival) == sorted(draft.survival, reverse=True)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_a_threshold_cuts_and_changes_nothing_else(tokens: list[int]) -> None:
    full, cut = propose(eager(), sequence(*tokens)), propose(SuffixDrafter(min_survival=0.3), sequence(*tokens))
    assert cut.tokens == full.tokens[: len(cut)]
    assert len(cut) == sum(s >= 0.3 for s in full.survival)


def test_a_longer_context_survives_longer() -> None:
    words = list(range(40))
    short, long = (propose(eager(), sequence(*words, *words[20 - n : 20]), 1) for n in (1, 12))
    assert short.survival[0] < long.survival[0]


def test_it_catches_up_on_tokens_it_was_not_told_of() -> None:
    drafter, text = eager(), sequence(1, 2, 3)
    drafter.start(text)
    propose(drafter, text)
    text.commit([7, 8, 9, 7, 8])
    assert propose(drafter, text, 2).tokens == (9, 7)


def test_each_sequence_gets_its_own_draft() -> None:
    first, second = sequence(1, 2, 1, id=1), sequence(1, 3, 1, id=2)
    assert [d.tokens for d in eager().propose([first, second], [1, 1])] == [(2,), (3,)]


def test_no_sequence_reads_another_ones_text() -> None:
    drafter = eager()
    propose(drafter, sequence(1, 2, 3, 1, id=1))
    assert len(propose(drafter, sequence(1, id=2))) == 0


def test_stop_forgets_the_text() -> None:
    drafter = eager()
    before, after = sequence(1, 2, 3, 1, id=4), sequence(5, 6, 7, 8, 9, 1, id=4)
    drafter.start(before)
    propose(drafter, before)
    drafter.stop(before)
    drafter.start(after)
    assert len(propose(drafter, after)) == 0


def test_a_sequence_started_anew_drafts_as_before() -> None:
    drafter, text = eager(), sequence(1, 2, 3, 1, 2)
    drafter.start(text)
    first = propose(drafter, text)
    drafter.stop(text)
    drafter.start(text)
    assert propose(drafter, text).tokens == first.tokens


def test_a_sequence_that_grew_shorter_is_read_anew() -> None:
    drafter = eager()
    propose(drafter, sequence(1, 2, 3, 4, 5, 6, 3))
    assert propose(drafter, sequence(3, 9, 3), 1).tokens == (9,)


@pytest.mark.parametrize(("committed", "trials", "hits"), [([3, 4, 5], 3, 3), ([3, 7], 2, 1), ([7], 1, 0), ([3], 1, 1), ([7, 4, 5], 1, 0)])
def test_trials_are_the_positions_up_to_the_first_miss(committed: list[int], trials: int, hits: int) -> None:
    drafter, text = eager(), sequence(1, 2, 3, 4, 5, 6, 1, 2)
    draft = propose(drafter, text, 4)
    text.commit(committed)
    drafter.commit(text, draft.cut(len(committed) - 1), max(0, hits - 1))
    table = drafter.tables("")[TextReader]
    assert (round(sum(table.trials), 1), round(sum(table.hits), 1)) == (trials, hits)


def test_a_forecast_is_scored_once() -> None:
    drafter, text = eager(), sequence(1, 2, 3, 1)
    draft = propose(drafter, text, 1)
    text.commit([2])
    drafter.commit(text, draft, 0)
    drafter.commit(text, draft, 0)
    assert sum(drafter.tables("")[TextReader].trials) == 1


def test_a_forecast_is_scored_though_no_commit_was_told() -> None:
    drafter, text = eager(), sequence(1, 2, 3, 1)
    propose(drafter, text, 1)
    text.commit([2])
    propose(drafter, text, 1)
    assert sum(drafter.tables("")[TextReader].trials) == 1


def test_drafts_that_fail_grow_rare_and_return_when_they_would_succeed() -> None:
    drafter = SuffixDrafter(min_survival=0.3)

    def lives(next_token: int, count: int) -> list[int]:
        """Draft lengths of many equal sequences, all continued by next_token."""
        lengths = []
        for _ in range(count):
            text = sequence(1, 2, 3, 4, 5, 6, 1, 2, 3)
            drafter.start(text)
            draft = propose(drafter, text, 1)
            lengths.append(len(draft))
            text.commit([next_token])
            drafter.commit(text, draft, int(draft.tokens == (next_token,)))
            drafter.stop(text)
        return lengths

    failing = lives(7, 200)
    assert (failing[0], failing[-1]) == (1, 0)
    assert lives(4, 400)[-1] == 1


def test_drafting_in_a_loop_takes_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    best = SuffixAutomaton.best

    def counted(self: SuffixAutomaton, state: int) -> tuple[int, int] | None:
        nonlocal asked
        asked += 1
        return best(self, state)

    monkeypatch.setattr(SuffixAutomaton, "best", counted)
    assert len(propose(eager(), sequence(*[1] * 2_000), 64)) == 64
    assert asked <= 2 * 64


@pytest.mark.parametrize(("option", "value"), [("min_match", 0), ("min_match", 1.5), ("min_survival", 1.0), ("min_survival", -0.1)])
def test_options_out_of_range_are_refused_by_name(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{option}={value}"):
        SuffixDrafter(**{option: value})  # type: ignore[arg-type]


def host(fingerprint: str) -> Host:
    class Tokenizer:
        pass

    tokenizer = Tokenizer()
    tokenizer.fingerprint = fingerprint  # type: ignore[attr-defined]
    return Host(tokenizer, 1000, 100, 1, 100, "cpu", "float32")


def test_a_corpus_of_another_vocabulary_is_refused() -> None:
    drafter = SuffixDrafter(Corpus.of([[1, 2]], {"target": "mine", "vocabulary": "abc"}))
    drafter.bind(host("abc"))
    with pytest.raises(UnsupportedError, match="suffix:mine.*another vocabulary"):
        drafter.bind(host("abd"))


def test_new_text_is_drafted_from_the_corpus() -> None:
    drafter = SuffixDrafter(Corpus.of([[5, 6, 7, 8, 9]]), min_survival=0.0)
    assert propose(drafter, sequence(1, 5, 6), 4).tokens == (7, 8, 9)  # and no further: a text of the corpus ends there


def test_the_likelier_of_text_and_corpus_is_drafted() -> None:
    """A long match in the text outweighs one token of context in the corpus, and the other way round."""
    text, corpus = (1, 2, 3, 4, 5, 6, 7), [[9, 7, 8]] * 20
    assert propose(SuffixDrafter(Corpus.of(corpus)), sequence(*text, *text[:6]), 1).tokens == (7,)
    assert propose(SuffixDrafter(Corpus.of(corpus)), sequence(50, 6, 60, 51, 52, 9, 7), 1).tokens == (8,)
    long = [[20, 21, 22, 23, 24, 25, 26, 27, 28]] * 20
    assert propose(SuffixDrafter(Corpus.of(long)), sequence(27, 1, 2, 20, 21, 22, 23, 24, 25, 26, 27), 1).tokens == (28,)


def test_a_corpus_that_fails_loses_to_the_text() -> None:
    """Both expect something, the corpus with the better prior; after many misses the text's own is drafted."""
    drafter = SuffixDrafter(Corpus.of([[20, 21, 22, 23, 24]] * 20), min_survival=0.0)
    drafted = []
    for _ in range(300):
        text = sequence(23, 1, 2, 20, 21, 22, 23)
        drafter.start(text)
        draft = propose(drafter, text, 1)
        drafted.append(draft.tokens[0])
        text.commit([1])
        drafter.commit(text, draft, int(draft.tokens == (1,)))
        drafter.stop(text)
    assert (drafted[0], drafted[-1]) == (24, 1)


def test_readers_that_disagree_are_both_scored() -> None:
    drafter, text = SuffixDrafter(Corpus.of([[1, 9]] * 5), min_survival=0.0), sequence(1, 2, 3, 1)
    propose(drafter, text, 1)
    text.commit([9])
    propose(drafter, text, 1)
    assert [sum(drafter.tables("")[reader].trials) for reader in (TextReader, CorpusReader)] == [1, 1]
    assert [sum(drafter.tables("")[reader].hits) for reader in (TextReader, CorpusReader)] == [0, 1]


def test_a_text_that_has_ended_is_handed_over_to_the_one_that_goes_on_and_one_that_goes_on_is_not():
    drafter, fresh = SuffixDrafter(min_survival=0.0), SuffixDrafter(min_survival=0.0)
    first, second, other = sequence(1, 2, 3, 1, 2, id=1), sequence(1, 2, 3, 1, 2, 3, 4, 1, id=2), sequence(1, 2, 3, 1, 2, 9, 1, id=3)
    for text in (first, second, other):
        drafter.start(text)
        fresh.start(text)
    drafter.propose([first], [3])
    size = drafter._memories[1].text.size
    drafter.inherit(other, first, 5)
    assert (drafter._memories[1].text.size, drafter._memories[3].text.size) == (size, 0)
    first.finish_reason = "stop"
    drafter.inherit(other, first, 4)  # less than was read: it would have to be unread
    drafter.inherit(second, first, 5)
    assert (1 in drafter._memories, drafter._memories[2].text.size) == (False, size)
    assert drafter.propose([second, other], [3, 3]) == fresh.propose([second, other], [3, 3])
    for text in (first, second, other):
        drafter.stop(text)
    assert not drafter._memories
