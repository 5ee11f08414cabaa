"""Which drafted tokens are sent: the surest, as far as they pay; probes whole."""

from __future__ import annotations

import numpy
import pytest

from covey.control.sending import reason, worth_sending


def pass_of(token: float):
    """A pass that takes so many seconds for each drafted token."""
    return lambda slots: 0.02 + token * slots


def test_the_surest_tokens_are_sent_as_far_as_they_pay() -> None:
    # A token costs 10 ms, which are worth 0.4 tokens.
    assert worth_sending([[0.9, 0.5], [0.45, 0.3], [0.39]], [False] * 3, 40.0, pass_of(0.01)) == [2, 1, 0]


def test_a_token_with_hardly_a_chance_is_not_sent_where_tokens_of_a_pass_cost_nothing() -> None:
    assert worth_sending([[0.9, 0.3, 0.019]], [False], 50.0, pass_of(0.0)) == [2]


def test_a_probe_is_sent_whole_whatever_it_costs() -> None:
    assert worth_sending([[0.3, 0.001], [0.5]], [True, False], 50.0, pass_of(1.0)) == [2, 0]


def test_a_stair_is_climbed_where_the_whole_of_it_pays() -> None:
    def stair(slots):
        return numpy.where(slots > 0, 0.03, 0.02)

    assert worth_sending([[0.3], [0.3]], [False, False], 40.0, stair) == [1, 1]
    assert worth_sending([[0.3]], [False], 40.0, stair) == [0]


@pytest.mark.parametrize(
    ("kept", "drafted", "asked", "probe", "why"),
    [
        (2, 2, True, True, "probe"),
        (1, 2, True, False, "pays"),
        (0, 2, True, False, "does not pay"),
        (0, 0, True, False, "nothing drafted"),
        (0, 0, False, False, "does not pay"),
    ],
)
def test_every_cut_has_a_reason(kept, drafted, asked, probe, why) -> None:
    assert reason(kept, drafted, asked, probe) == why
