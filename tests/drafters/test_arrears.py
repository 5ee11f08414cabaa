"""What reading is charged: by the token, shared by the guesses that follow."""

from __future__ import annotations

import pytest

from covey.drafters.arrears import Arrears
from covey.drafters.economy import Economy, Prospect


def test_nothing_is_charged_before_anything_was_read():
    assert Arrears().price(1000) == 0


@pytest.mark.parametrize("guesses", [12, 20])
def test_a_reading_is_paid_by_the_guesses_that_follow(guesses):
    arrears = Arrears()
    for _ in range(300):
        arrears.read(100, 0.1)
        arrears.guessed(guesses)
    assert arrears.price(400) == pytest.approx(0.4 / (1 + guesses), rel=0.1)


def test_who_is_seldom_asked_pays_no_more_than_one_that_is_asked_regularly():
    arrears = Arrears()
    for _ in range(300):
        arrears.read(100, 0.1)
    assert arrears.price(400) == pytest.approx(0.4 / 8)


def test_a_hiccup_is_no_trend():
    arrears = Arrears()
    for seconds in (0.1, 0.1, 100.0):
        arrears.read(100, seconds)
    assert arrears.price(100) < arrears.price(0) + 0.1


def test_what_has_much_to_read_is_asked_where_that_still_pays():
    """A guess costs a tenth of what a token is worth and brings half a token; reading a thousand tokens costs two tokens,
    which eight guesses share."""
    books = Economy(2)
    books.spent((0,), 0.0001, guesses=1, sequences=1)
    for _ in range(200):
        books.spent((1,), 0.1, guesses=1, sequences=1)
        books.winnings[1].learn(0, 1)
        books.winnings[1].learn(0, 0)
    books._seconds, books._tokens = 100.0, 100.0
    for _ in range(200):
        books.caught_up({1: 1000}, 2.1, 1)
    told = [books.chosen([Prospect(1, 0, alive=1.0, unread=unread)]) for unread in (0, 1000, 4000, 100)]
    assert told == [[True], [True], [False], [True]]


def test_a_reading_before_guesses_were_measured_says_nothing():
    books = Economy(1)
    books.caught_up({0: 100}, 1.0, 1)
    assert books.arrears[0].price(100) == 0
