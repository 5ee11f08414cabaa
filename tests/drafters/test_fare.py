"""What passes cost by how many take part: the pass and each one's own; until numbers vary, the pass as much as four guesses."""

import pytest

from covey.drafters.fare import Fare


def fare(*seen: tuple[int, float], sequences: int = 1) -> Fare:
    made = Fare()
    for guesses, seconds in seen:
        made.record(guesses, sequences, seconds)
    return made


def test_while_all_always_take_part_the_pass_is_taken_to_cost_four_guesses():
    made = fare(*[(4, 0.004)] * 20)
    assert (made.once, made.beside) == pytest.approx((0.002, 0.0005))
    assert made.of(4) == pytest.approx(0.004)
    alone = fare(*[(1, 0.005)] * 20)
    assert (alone.alone, alone.beside) == pytest.approx((0.005, 0.001))


def test_a_pass_that_costs_nothing_is_found_out_by_a_few_of_another_number():
    made = fare(*[(1, 0.005)] * 20, *[(8, 0.040)] * 5)
    assert made.beside == pytest.approx(0.005, rel=0.2)


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
    assert made.of(4) == pytest.approx(0.004, rel=0.1)
