"""The pool pauses drafters at its limit, forms groups of whoever waits, and takes no draft for a text that did not come true."""

from __future__ import annotations

from covey.pipeline.pool import Held, Pool
from covey.pipeline.ticket import Ahead, Proposal
from covey.sampling_params import SamplingParams
from covey.types import Draft, Sequence, Work, prefix_id_after


def held(number: int) -> Held:
    sequence = Sequence(number, (1, 2, number), SamplingParams())
    return Held(Work(sequence, 2, 1, Draft.empty(sequence)), planned=2)


def answered(some: list[Held]) -> None:
    """A proposal for these that is done."""
    ids = [each.work.sequence.id for each in some]
    ticket = Proposal(ids, [2] * len(ids), 9, done=True)
    for each in some:
        sequence, each.ticket = each.work.sequence, ticket
        ticket.results[sequence.id] = Draft(3, sequence.prefix_id, (4, 5, 6), (1.0,) * 3)


def test_drafters_pause_at_the_limit_and_go_on_below_it():
    pool = Pool(limit=3)
    for number in range(5):
        pool.add(held(number))
    first = pool.group(2)
    answered(first)
    assert pool.group(2) == [], "one group at a time"
    pool.absorb()
    assert (len(first), pool.num_ready, pool.full) == (2, 2, False)
    second = pool.group(2)
    assert len(second) == 1, "the limit leaves room for one"
    answered(second)
    pool.absorb()
    assert pool.full
    assert pool.group(2) == []
    assert [each.work.draft.tokens for each in pool.take(2)] == [(4, 5)] * 2, "cut to what was planned"
    assert len(pool.group(2)) == 2


def test_a_draft_ahead_is_taken_if_its_text_came_true_and_else_another_is_asked_for():
    pool, true, false = Pool(limit=4), held(1), held(2)
    ticket = Ahead([1, 2], [2, 2], 9, sent=[0, 0], done=True)
    for each, supposed in ((true, []), (false, [7])):
        sequence, each.ticket = each.work.sequence, ticket
        ticket.results[sequence.id] = Draft(3, prefix_id_after(sequence.prefix_id, supposed), (4, 5), (1.0, 1.0))
        pool.add(each)
    pool.absorb()
    assert (true.ready, false.ready) == (True, False)
    assert pool.group(4) == [false]


def test_what_is_dropped_or_released_leaves_nothing_behind():
    pool, some = Pool(limit=4), [held(number) for number in range(3)]
    for each in some:
        pool.add(each)
    pool.drop(0)
    pool.release()
    assert [len(each.work.draft) for each in pool.take(4)] == [0, 0]
    assert (len(pool), pool.num_ready) == (0, 0)
