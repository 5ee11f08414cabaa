"""What passes cost by how many take part: a share each until numbers vary, then the pass and each one's own."""

import pytest

from covey.drafters.fare import Fare


def fare(*seen: tuple[int, float], sequences: int = 1) -> Fare:
    made = Fare()
    for guesses, seconds in seen:
        made.record(guesses, sequences, seconds)
    return made


def test_all_cost_the_same_share_while_all_always_take_part():
    made = fare(*[(4, 0.004)] * 20)
    assert made.beside == made.alone == pytest.approx(0.001)


def test_one_more_costs_what_it_adds():
    made = fare(*[(4, 0.0026), (1, 0.002), (2, 0.0022)] * 20)
    assert made.beside == pytest.approx(0.0002, rel=0.2)
    assert made.alone == pytest.approx(0.002, rel=0.05)


def test_sequences_share_a_pass():
    made = fare(*[(32, 0.0164), (8, 0.0116)] * 20, sequences=8)
    assert made.beside == pytest.approx(0.0002, rel=0.2)
    assert made.alone == pytest.approx(0.01 / 8 + 0.0002, rel=0.1)


def test_what_costs_nothing_costs_nothing_and_no_less():
    made = fare(*[(4, 0.001), (1, 0.002)] * 50)
    assert made.beside == 0
    assert made.alone == pytest.approx(0.0015, rel=0.05)


def test_a_first_pass_that_warms_up_and_a_hiccup_are_no_measure():
    made = fare((4, 1.0), *[(4, 0.004)] * 30, (4, 2.0))
    assert made.beside == pytest.approx(0.001, rel=0.1)
