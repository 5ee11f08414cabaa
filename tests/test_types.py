"""Drafts know when they are stale."""

from covey.sampling_params import SamplingParams
from covey.types import Draft, Sequence


def test_a_draft_for_another_text_of_the_same_length_is_stale():
    ours, other = Sequence(0, (1, 2), SamplingParams()), Sequence(1, (1, 3), SamplingParams())
    assert not Draft.empty(ours).stale(ours)
    assert Draft.empty(other).stale(ours)


def test_a_cut_draft_keeps_what_is_told_of_it():
    draft = Draft(2, 0, (5, 6), (0.9, 0.5), "a+b", (("a",), ("a", "b")), (("a", 0.5), ("b", 0.4)), (("a", 2), ("b", 0)))
    cut = draft.cut(1)
    assert (cut.tokens, cut.survival, cut.votes) == ((5,), (0.9,), (("a",),))
    assert (cut.source, cut.records, cut.asked) == (draft.source, draft.records, draft.asked)
