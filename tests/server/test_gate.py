"""The gate: bounded, fair between callers, and nothing it gave out is lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.server.gate import Full, Gate


def in_loop(test):
    async def run():
        return test()

    return asyncio.run(run())


def test_callers_take_turns_whoever_asked_more_often():
    def test():
        gate, order = Gate(capacity=1, queue_size=100), []
        first = gate.enter("a", 1)
        tickets = [("a", gate.enter("a", 1)) for _ in range(4)] + [("b", gate.enter("b", 1)) for _ in range(2)]
        current = first
        while tickets:
            current.leave()
            (at,) = [i for i, (_, ticket) in enumerate(tickets) if ticket.is_in]
            name, current = tickets.pop(at)
            order.append(name)
        return order

    assert in_loop(test) == ["b", "a", "b", "a", "a", "a"]


def test_the_one_who_holds_fewest_places_comes_first():
    def test():
        gate = Gate(capacity=4, queue_size=100)
        large, small = gate.enter("a", 3), gate.enter("b", 1)
        of_a, of_b = gate.enter("a", 1), gate.enter("b", 1)
        large.give_back(1)
        assert of_b.is_in and not of_a.is_in
        small.leave()
        assert of_a.is_in

    in_loop(test)


def test_a_full_queue_refuses_its_caller_alone():
    def test():
        gate = Gate(capacity=1, queue_size=2)
        for _ in range(3):
            gate.enter("a", 1)
        with pytest.raises(Full) as caught:
            gate.enter("a", 1)
        assert caught.value.seconds >= 1
        gate.enter("b", 1)
        assert (gate.waiting, gate.running) == (3, 1)

    in_loop(test)


def test_a_request_larger_than_the_engine_still_comes_to_its_turn():
    def test():
        gate = Gate(capacity=2, queue_size=9)
        small = gate.enter("a", 1)
        large, after = gate.enter("a", 16), gate.enter("a", 1)
        assert large.is_in and not after.is_in
        small.leave()
        large.give_back(15)
        assert after.is_in and gate.running == 2

    in_loop(test)


@given(st.lists(st.tuples(st.sampled_from(["enter", "give", "leave"]), st.integers(0, 20), st.integers(1, 5)), max_size=120))
def test_nothing_is_lost_whatever_happens(events):
    def test():
        gate, tickets = Gate(capacity=3, queue_size=4), []
        for what, which, places in events:
            if what == "enter":
                try:
                    tickets.append(gate.enter("abc"[which % 3], places))
                except Full:
                    continue
            elif tickets:
                ticket = tickets[which % len(tickets)]
                ticket.give_back(places) if what == "give" and ticket.is_in else ticket.leave()
            assert gate.running == sum(t.places for t in tickets if t.is_in and t in gate._admitted)
            assert not gate.waiting or gate.running >= gate.capacity
        for ticket in tickets:
            ticket.leave()
            ticket.leave()
        assert gate.idle and gate.running == 0 and gate._held == Counter()

    in_loop(test)
