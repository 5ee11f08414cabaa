"""What asking wins: of all degrees of certainty together, and of each by itself as it is tried."""

from __future__ import annotations

import pytest

from covey.drafters.winnings import KINDS, Winnings, kind_of, room


def test_kinds_tell_silence_from_all_degrees_of_certainty():
    assert [kind_of(x) for x in (None, 0.0, 0.05, 0.15, 0.95, 1.0)] == [0, 1, 1, 2, 10, 10]
    assert room(kind_of(0.25)) == pytest.approx(0.75**2) and room(kind_of(0.95)) == pytest.approx(0.05**2)


def test_untried_it_is_expected_to_win_less_the_surer_the_others_are():
    gains = [Winnings().gain(kind) for kind in range(KINDS)]
    assert gains == sorted(gains, reverse=True)
    assert 0 < gains[-1] < gains[1] < 0.2 < gains[0]


def test_what_it_wins_of_some_mistakes_says_what_it_wins_of_others():
    good, bad = Winnings(), Winnings()
    for step in range(400):
        good.learn(kind_of(0.25), won=step % 2)
        bad.learn(kind_of(0.25), won=0)
    share = 0.5 / room(kind_of(0.25))
    assert good.gain(kind_of(0.55)) == pytest.approx(share * room(kind_of(0.55)), rel=0.1)
    assert bad.gain(kind_of(0.55)) < 0.01
    assert good.trials(kind_of(0.55)) == bad.trials(kind_of(0.25)) > 80
    assert good.trials(0) == 0 and good.gain(0) == bad.gain(0)  # silence is another thing


def test_what_is_tried_itself_goes_its_own_way():
    winnings = Winnings()
    for _ in range(200):
        winnings.learn(kind_of(0.25), won=1)
        winnings.learn(kind_of(0.65), won=0)
    assert winnings.gain(kind_of(0.25)) > 0.85
    assert winnings.gain(kind_of(0.65)) < 0.1


def test_a_token_wins_what_comes_true_behind_it():
    winnings, plain = Winnings(), Winnings()
    for step in range(400):
        for each in (winnings, plain):
            each.learn(3, won=step % 2)
        winnings.follow(3, tokens=1)
    assert winnings.gain(3) == pytest.approx(2 * plain.gain(3), rel=0.05)
    assert winnings.gain(4) == plain.gain(4)


def test_the_less_it_was_tried_the_more_it_may_be_better_than_it_was_seen_to_be():
    winnings = Winnings()
    spare = [winnings.gain(3, deviations=1) - winnings.gain(3)]
    for count in (10, 100):
        for step in range(count):
            winnings.learn(3, won=int(step % 5 == 0))
        spare.append(winnings.gain(3, deviations=1) - winnings.gain(3))
    assert spare[0] > 2 * spare[1] > 4 * spare[2] > 0
    assert winnings.gain(3, deviations=2) - winnings.gain(3) == pytest.approx(2 * spare[-1])


def test_who_wins_and_loses_may_be_better_than_it_seems_sooner_than_who_changes_nothing():
    """A few unlucky trials to begin with must not send a member away that asking pays for."""
    unlucky, idle = Winnings(), Winnings()
    for step in range(24):
        unlucky.learn(2, won=(1, -1, 0, 0, -1, 0)[step % 6])
        idle.learn(2, won=0)
    assert unlucky.gain(2) < idle.gain(2)
    assert unlucky.gain(2, deviations=1.5) > 0.1
    assert unlucky.gain(2, 1.5) - unlucky.gain(2) > 1.4 * (idle.gain(2, 1.5) - idle.gain(2))
    for _ in range(400):
        unlucky.learn(2, won=0)
    assert unlucky.gain(2, deviations=1.5) < 0.06
