"""Who is asked: what pays, and now and then what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from covey.drafters import CollectiveDrafter
from covey.drafters.collective import VOTES
from covey.drafters.economy import Economy, Prospect
from covey.drafters.guesser import Growing, Guess
from covey.drafters.member import Member
from covey.drafters.section import One
from covey.drafters.winnings import kind_of
from covey.types import Round
from tests.drafters.members import Says, asked_of, propose, sequence

ROUND = Round(
    step=1, sequence_id=0, request_id="r", index=0, start=5, planned=4, drafted=(1,), survival=(0.5,), source="", accepted=1, tokens=(1, 2),
    prefilled=0, finish_reason=None, step_sequences=1, step_tokens=2, step_draft_seconds=0.0, step_verify_seconds=0.018,
    step_other_seconds=0.002,
)  # fmt: skip


def economy(cost: float, rounds: int = 50) -> Economy:
    books = Economy(2)
    for member, seconds in enumerate((0.0001, cost)):
        for _ in range(3):
            books.spent((member,), seconds, guesses=1, sequences=1)
    for _ in range(rounds):
        books.observe(ROUND)
    return books


def pays(books: Economy, kind: int, alive: float = 1.0, paid: bool = False, **more: int) -> bool:
    """Whether the second member is asked."""
    return books.considers(1, kind, alive) and books.chosen([Prospect(1, kind, alive, **more)], paid)[0]


def test_a_token_is_worth_the_targets_time_for_one():
    assert economy(0.001).token_seconds == pytest.approx(0.01)
    shared = Economy(1)
    shared.observe(replace(ROUND, step_sequences=4, step_tokens=8))
    assert shared.token_seconds == pytest.approx(0.0025)
    shared.observe(replace(ROUND, prefilled=7, step_tokens=9, step_verify_seconds=9.0))  # a prompt's time is not a token's
    assert shared.token_seconds == pytest.approx(0.0025)


def test_what_others_read_of_their_prompts_in_the_same_pass_is_no_part_of_what_a_token_is_worth():
    mixed = Economy(1)
    mixed.observe(replace(ROUND, step_sequences=2, step_tokens=202, step_verify_seconds=2.018))  # another's 200 tokens, at 10 ms each
    assert mixed.token_seconds == pytest.approx(0.01)


def test_everybody_is_asked_until_costs_and_worth_are_known():
    assert pays(Economy(2), 0)
    assert pays(economy(0.5, rounds=0), 0)


def test_a_member_whose_first_guess_met_a_hiccup_is_asked_until_it_is_known_what_a_guess_costs():
    books = economy(0.001)
    for _ in range(200):
        books.winnings[1].learn(0, won=0)  # known to win nothing, as from a file: it is hardly tried
    slow = Economy(2)
    slow.winnings[1] = books.winnings[1]
    slow.observe(ROUND)
    for seconds in (0.1, 0.001):
        slow.spent((1,), seconds, guesses=1, sequences=1)
        assert pays(slow, 0)
    slow.spent((1,), 0.001, guesses=1, sequences=1)
    assert slow.cost(1) == pytest.approx(0.001)
    assert not pays(slow, 0)


def test_a_member_is_asked_where_its_gain_is_worth_its_time():
    books = economy(0.002)
    for _ in range(200):
        books.winnings[1].learn(kind_of(None), 1)
        books.winnings[1].learn(kind_of(0.95), 0)
    assert pays(books, kind_of(None))
    assert not pays(books, kind_of(0.95))
    assert not pays(books, kind_of(None), 0.05)
    assert not pays(books, kind_of(None), passes=8)


def test_one_that_was_only_tried_with_one_text_is_asked_about_many_that_share_a_pass():
    """A guess costs 4 ms and wins three tenths of a token, of 10 ms."""
    books = economy(0.004)
    for step in range(400):
        books.winnings[1].learn(kind_of(0.45), int(step % 10 < 3))
    alone, many = ([Prospect(1, kind_of(0.45), alive=1.0)] * count for count in (1, 8))
    assert not any(books.chosen(alone)) and all(books.chosen(many))


def test_a_token_that_is_sent_only_because_somebody_was_asked_has_to_be_checked():
    """A token in four, for a fifth of a token. Where the others are half sure, something is sent anyway."""
    books = economy(0.002)
    for step in range(400):
        for kind in (kind_of(None), kind_of(0.45)):
            books.winnings[1].learn(kind, int(step % 4 == 0))
    assert pays(books, kind_of(None)) and pays(books, kind_of(0.45))
    books.checking = 0.15
    assert not pays(books, kind_of(None)) and pays(books, kind_of(0.45))


def test_what_checking_costs_is_what_a_controller_says():
    collective = CollectiveDrafter([Says(7), Says(8)])
    before = collective.economy("a")
    collective.heed(0.5, 0.2)
    assert before.checking == collective.economy("b").checking == 0.2
    collective.heed(None, 0.0)
    assert before.checking == 0


class _Knows(Says):
    """Says what follows in a text that it knows, where it knows it."""

    def __init__(self, name: str, known: dict[int, int]) -> None:
        super().__init__(0)
        self.name, self.known = name, known

    def guess(self, growing):
        found = [self.known.get(draft.start + len(draft.tokens)) for draft in growing]
        return [None if token is None else Guess(token, 0.95, token) for token in found]


@pytest.mark.parametrize("worth", [None, 0.004], ids=["what it costs is not known", "half a token"])
def test_what_is_credited_to_an_asking_is_what_comes_behind_it_less_what_that_costs(worth):
    """The text is 10, 11, ...: the cheap one knows all of it but two places, which only the dear one knows."""
    text = {place: 10 + place for place in range(2, 40)}
    cheap = _Knows("cheap", {place: token for place, token in text.items() if place % 8 not in (2, 5)})
    dear = _Knows("dear", text)
    now = [0.0]
    collective = CollectiveDrafter([cheap, dear], min_survival=0.0, clock=lambda: now[0])
    books = collective.economy("")
    books.cost = [0.001, 0.002].__getitem__  # type: ignore[method-assign]
    books._seconds, books._tokens, kept = worth or 0.0, 1.0 if worth else 0.0, 0.5 if worth else 1.0
    line = sequence(1, 2)
    for _ in range(4):
        draft = propose(collective, line, 8)
        assert draft.tokens == tuple(text[place] for place in range(draft.start, draft.start + 8))
        line.commit([text[place] for place in range(draft.start, draft.start + 8)])
        collective.commit(line, draft, 8)
    # Of each eight tokens the dear one wins the first and the fourth. Behind the first come six, and one that was paid for; behind the
    # fourth four.
    won = books.winnings[1]
    assert won._behind[0] / (won._right[0] - 4) == pytest.approx((6 + kept + 4) / 2, rel=0.02)


def test_a_member_that_is_hardly_known_is_hoped_for_and_one_that_is_known_is_not():
    books = economy(0.004)  # two fifths of a token
    assert pays(books, 3) and not pays(books, 10)
    for _ in range(13):
        books.winnings[1].learn(3, 0)
    assert not any(pays(books, 3) for _ in range(3))


def test_bad_luck_at_first_does_not_send_a_member_away():
    """A token in four, but none of the first six; a guess costs a seventh of a token."""
    books, asked = economy(0.0014), 0
    for _ in range(400):
        books.observe(ROUND)
        if pays(books, 3):
            asked += 1
            books.winnings[1].learn(3, int(asked % 8 in (0, 7)))
    assert asked > 380


def test_what_two_drafts_win_together_pays_for_a_pass_that_neither_pays_for():
    books = economy(0.0001)
    for guesses in (1, 2) * 50:
        books.spent((1,), seconds=0.003 + 0.0002 * guesses, guesses=guesses, sequences=guesses)
    for step in range(300):
        books.winnings[1].learn(3, int(step % 5 == 0))  # 2 ms
        books.winnings[1].learn(9, 0)
    one, vain = Prospect(1, 3, alive=1.0), Prospect(1, 9, alive=1.0)
    assert books.chosen([one]) == [False]
    assert books.chosen([one, vain]) == [False, False]
    assert books.chosen([one, vain, one]) == [True, False, True]
    assert books.chosen([one, vain], paid=True) == [True, False]


def test_what_does_not_pay_is_tried_now_and_then_and_returns():
    books = economy(0.002, rounds=200)
    for _ in range(300):
        books.winnings[1].learn(3, 0)
    asked = 0
    for _ in range(1600):
        books.observe(ROUND)
        asked += pays(books, 3)
    assert 10 <= asked <= 22
    while not all(pays(books, 3) for _ in range(3)):
        books.winnings[1].learn(3, 1)
    assert books.winnings[1].gain(3, deviations=1.5) > 0.2 > books.winnings[1].gain(3) > 0.15


def test_the_cheapest_is_heard_first():
    assert economy(0.002).order() == [0, 1]
    books = economy(0.00001)
    assert books.order() == [1, 0]
    assert Economy(3).order() == [0, 1, 2]


def test_a_cost_is_the_usual_one_not_that_of_a_prompt():
    books = Economy(1)
    for step in range(400):
        books.spent((0,), 4 * (3.0 if step % 50 == 0 else 0.002), guesses=4, sequences=4)
    assert books.cost(0) == pytest.approx(0.002, rel=0.15)


def test_who_is_asked_at_once_with_others_is_asked_for_what_it_adds():
    """A pass of ten milliseconds, and one for each guess; a token in three, worth ten."""
    books = Economy(2)
    for asked in (1, 2) * 50:
        books.observe(ROUND)
        books.spent((0, 1), seconds=0.01 + 3 * 0.001 * asked, guesses=3 * asked, sequences=3)
    for step in range(300):
        books.winnings[1].learn(0, int(step % 3 == 0))
    assert books.cost(1) == pytest.approx(0.01 / 3 + 0.001, rel=0.1)
    assert not pays(books, 0)
    assert pays(books, 0, paid=True)
    assert not pays(books, 0, passes=2, paid=True)  # catching up is a pass for it alone


@pytest.mark.parametrize("vote", VOTES)
def test_a_dear_member_that_wins_nothing_is_rested_and_one_that_does_is_asked(vote):
    """Costs by a clock of our own: the second member takes a second a guess, a token is worth one or four."""
    now = [0.0]

    class Slow(Says):
        def guess(self, growing):
            now[0] += len(growing)
            return super().guess(growing)

    asked = {}
    for token in (7, 8):
        first, slow = Says(7, estimate=0.5), Slow(token)
        collective = CollectiveDrafter([first, slow], vote=vote, min_survival=0.0, clock=lambda: now[0])
        text = sequence(1, 2)
        for _ in range(300):
            before = len(slow.seen)
            draft = propose(collective, text, 1)
            assert asked_of(draft) == {"says 7": 1, f"says {token}": len(slow.seen) - before}
            text.commit([8])
            collective.commit(text, draft, int(draft.tokens == (8,)))
            seconds = 2.0 if token == 7 else 8.0
            collective.observe(replace(ROUND, step_verify_seconds=seconds, step_other_seconds=0.0))
        asked[token] = len(slow.seen)
        assert len(first.seen) == 300
    assert asked[7] < 60
    assert asked[8] > 250


@pytest.mark.parametrize("vote", VOTES)
def test_without_thrift_everybody_is_asked_everywhere(vote):
    slow = Says(7)
    collective = CollectiveDrafter([Says(7), slow], vote=vote, min_survival=0.0, thrifty=False)
    text = sequence(1, 2)
    for _ in range(100):
        collective.observe(replace(ROUND, step_verify_seconds=0.0, step_other_seconds=0.0))
        draft = propose(collective, text, 1)
        text.commit([8])
        collective.commit(text, draft, 0)
    assert len(slow.seen) == 100


@pytest.mark.parametrize(
    ("cost", "won", "share"),
    [(0.0048, [1, 0, 0] * 5, 0.0059), (0.0055, [1, 0] * 150, 0.0025), (0.1, [], 0.005), (0.0015, [0] * 300, 0.00125)],
    ids=["little is known", "often tried, not quite worth it", "dearer than all that it could win", "often tried in vain"],
)
def test_trials_have_a_hundredth_of_the_time_and_less_where_they_tell_or_promise_little(cost, won, share):
    books = economy(cost)
    for each in won:
        books.winnings[1].learn(3, each)
    spent = 0.0
    for _ in range(20000):
        books.observe(ROUND)  # 0.02 seconds
        spent += cost * pays(books, 3)
    assert share / 2 < spent / (20000 * 0.02) < 1.05 * share


def test_a_guess_after_tokens_that_were_not_followed_is_as_many_passes_and_no_measure_of_one():
    class Reads(Says):
        wants_hidden = True

    member, text = Member(Reads(7)), sequence(1, 2)
    followed, not_followed = Growing(text, 2, 8), Growing(text, 2, 8, tokens=[7] * 3)
    assert [member.passes(own) for own in (followed, not_followed)] == [1, 4]
    assert One(0, member).usual([(0, followed)]) and not One(0, member).usual([(0, followed), (0, not_followed)])
    assert Member(Says(7)).passes(not_followed) == 1 and One(0, Member(Says(7))).usual([(0, not_followed)])
    books = economy(0.001)
    assert books.adds(Prospect(1, 0, 1.0, passes=4)) == pytest.approx(books.adds(Prospect(1, 0, 1.0)) + 3 * 0.001)


@pytest.mark.parametrize("vote", VOTES)
def test_what_was_ventured_is_told_from_what_had_to_be_spent(vote):
    """The cheap member takes a second a guess, the dear one ten, by a clock of our own."""
    now = [0.0]

    class Takes(Says):
        def __init__(self, token: int, seconds: float) -> None:
            super().__init__(token)
            self.seconds = seconds

        def guess(self, growing):
            now[0] += self.seconds * len(growing)
            return super().guess(growing)

    collective = CollectiveDrafter([Takes(7, 1.0), Takes(8, 10.0)], vote=vote, min_survival=0.0, clock=lambda: now[0])
    text = sequence(1, 2)
    for _ in range(3):  # who is cheaper is seen by then
        draft = propose(collective, text, 1)
        text.commit([8])
        collective.commit(text, draft, 0)
    told = {member.name: (member.spent, member.ventured) for member in draft.members}
    assert told == {"says 7": (1.0, 0.0), "says 8": (10.0, 10.0)}


def test_who_is_asked_whatever_it_costs_ventures_nothing():
    collective = CollectiveDrafter([Says(7), Says(8)], min_survival=0.0, thrifty=False)
    assert all(member.ventured == 0 for member in propose(collective, sequence(1, 2), 2).members)
