"""The one rule of acceptance."""

import pytest

from covey.accept import accept, chosen_at
from covey.types import Branch


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


@pytest.mark.parametrize(
    ("chosen", "accepted", "tokens", "branch"),
    [
        ((5, 6, 3, 0, 1, 2), 2, (5, 6, 3), None),
        ((9, 6, 3, 0, 1, 2), 0, (9, 1), 1),
        ((8, 6, 3, 0, 1, 2), 0, (8, 0), 0),
        ((4, 9, 3, 0, 1, 2), 0, (4,), None),
        ((5, 6, 7, 0, 1, 2), 2, (5, 6, 7, 2), 2),
    ],
    ids=["not needed", "one comes", "another comes", "a later coincidence does not count", "behind a draft that was right"],
)
def test_a_branch_that_comes_gives_one_token_more(chosen, accepted, tokens, branch):
    verdict = accept((5, 6), chosen, (Branch(0, 8, 0.1), Branch(0, 9, 0.1), Branch(2, 7, 0.1)))
    assert (verdict.accepted, verdict.tokens, verdict.branch) == (accepted, tokens, branch)
    assert chosen_at(verdict, 2) == [*range(accepted + 1), *([] if branch is None else [3 + branch])]


def test_refuses_choices_that_do_not_belong_to_the_draft():
    with pytest.raises(ValueError, match="chosen has 1 tokens for a draft of 2"):
        accept((1, 2), (1,))
    with pytest.raises(ValueError, match="chosen has 3 tokens for a draft of 2 with 1 branches"):
        accept((1, 2), (1, 2, 3), (Branch(0, 8, 0.1),))
