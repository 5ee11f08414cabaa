"""The accounting of rows: no slot twice, nothing lost, one run where there is room."""

from hypothesis import given
from hypothesis import strategies as st

from covey.rows import BLOCK_SIZE, RowPool


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9 * BLOCK_SIZE)), max_size=60))
def test_rows_never_share_a_slot_and_all_come_back(actions):
    """Each action grows a row to a length, or closes it when the length is 0."""
    pool = RowPool(20)
    for row_id, length in actions:
        if length == 0:
            pool.close(row_id)
            continue
        row = pool[row_id] if row_id in pool else pool.open(row_id)
        before = len(row.blocks)
        if not pool.reserve(row, length):
            assert len(row.blocks) == before
        rows = [pool[i] for i in range(6) if i in pool]
        slots = [s for r in rows for s in pool.slots(r, 0, len(r.blocks) * BLOCK_SIZE)]
        assert len(slots) == len(set(slots)) == (pool.num_blocks - pool.num_free) * BLOCK_SIZE
        for r in rows:
            span = pool.span(r, 3, len(r.blocks) * BLOCK_SIZE) if r.blocks else []
            listed = list(range(span.start, span.stop)) if isinstance(span, slice) else span
            assert listed == pool.slots(r, 3, len(r.blocks) * BLOCK_SIZE)
    for row_id in range(6):
        pool.close(row_id)
    assert (pool.num_free, len(pool)) == (20, 0)


def test_rows_that_grow_in_turn_stay_contiguous_while_there_is_room():
    pool = RowPool(64)
    rows = [pool.open(i) for i in range(4)]
    for length in range(1, 8 * BLOCK_SIZE, 5):
        assert all(pool.reserve(row, length) for row in rows)
    assert all(row.contiguous for row in rows)


def test_a_reservation_that_does_not_fit_takes_nothing():
    pool = RowPool(2)
    assert not pool.reserve(pool.open(0), 2 * BLOCK_SIZE + 1)
    assert pool.num_free == 2
