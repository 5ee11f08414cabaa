"""The one rule of acceptance."""

import pytest

from covey.accept import accept


@pytest.mark.parametrize(
    ("drafted", "chosen", "accepted", "tokens"),
    [
        ((), (5,), 0, (5,)),
        ((5,), (6, 7), 0, (6,)),
        ((5,), (5, 7), 1, (5, 7)),
        ((5, 6, 7), (5, 9, 7, 8), 1, (5, 9)),
        ((5, 6, 7), (5, 6, 7, 8), 3, (5, 6, 7, 8)),
    ],
    ids=["plain decoding", "recovered at once", "bonus", "recovered; a later coincidence does not count", "all accepted"],
)
def test_accepts_the_prefix_that_equals_the_targets_choices(drafted, chosen, accepted, tokens):
    verdict = accept(drafted, chosen)
    assert (verdict.accepted, verdict.tokens) == (accepted, tokens)


def test_refuses_choices_that_do_not_belong_to_the_draft():
    with pytest.raises(ValueError, match="chosen has 1 tokens for a draft of 2"):
        accept((1, 2), (1,))
