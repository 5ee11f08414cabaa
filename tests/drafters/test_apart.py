"""A vote on whole drafts: whose is taken, and whose is worth its time."""

from __future__ import annotations

from covey.drafters import CollectiveDrafter
from covey.drafters.winnings import kind_of
from tests.drafters.members import Whole, asked_of, propose, sequence


def test_a_sequence_vote_takes_one_members_own_draft():
    collective = CollectiveDrafter([Whole(7, 1, 1), Whole(8, 2, 3), Whole(8, 2, 4)], vote="sequence", weights="uniform", min_survival=0.0)
    draft = propose(collective, sequence(1, 2))
    assert draft.tokens == (8, 2, 3)
    assert draft.votes == (("whole (8, 2, 3)", "whole (8, 2, 4)"),) * 2 + (("whole (8, 2, 3)",),)


def test_a_whole_draft_is_worth_the_tokens_that_it_wins():
    """The first drafts 7 9 9, the dear one 8 8 8 and is heavier; the text goes 8 8 5: two tokens won each time."""
    now = [0.0]

    class Slow(Whole):
        def propose(self, sequences, lengths):
            now[0] += 1.0
            return super().propose(sequences, lengths)

    members = [Whole(7, 9, 9), Slow(8, 8, 8)]
    options = {"weights": "log_odds", "min_survival": 0.0, "thrifty": False, "clock": lambda: now[0]}
    collective = CollectiveDrafter(members, vote="sequence", **options)
    text = sequence(1, 2)
    for _ in range(60):
        draft = propose(collective, text, 3)
        text.commit([8, 8, 5])
        collective.commit(text, draft, 2)
    assert collective.economy("").winnings[1].gain(kind_of(0.5)) > 1.5
    assert asked_of(draft) == {"whole (7, 9, 9)": 1, "whole (8, 8, 8)": 1}
