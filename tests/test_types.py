"""Drafts know when they are stale."""

from covey.sampling_params import SamplingParams
from covey.types import Draft, Sequence


def test_a_draft_for_another_text_of_the_same_length_is_stale():
    ours, other = Sequence(0, (1, 2), SamplingParams()), Sequence(1, (1, 3), SamplingParams())
    assert not Draft.empty(ours).stale(ours)
    assert Draft.empty(other).stale(ours)
