"""The accounting of rows: no slot twice, nothing lost, one run where there is room, and what rests gives way but is never mixed up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from covey.rows import BLOCK_SIZE, RowPool

BLOCKS = 20


class Cache:
    """A pool with what stands in its slots, and what should stand at each position of each row."""

    def __init__(self, num_blocks: int = BLOCKS) -> None:
        self.pool, self.slots = RowPool(num_blocks), [0] * (num_blocks * BLOCK_SIZE)
        self.texts: dict[int, list[int]] = {}
        self._written = 0

    def row(self, row_id: int):
        if row_id not in self.pool:
            self.texts[row_id] = []
            return self.pool.open(row_id)
        return self.pool[row_id]

    def write(self, row_id: int, length: int) -> bool:
        """Grow a row to a length, each position with a value of its own."""
        row = self.row(row_id)
        length = max(length, row.length)
        before = len(row.blocks)
        if not self.pool.reserve(row, length):
            assert len(row.blocks) == before
            return False
        text = self.texts[row_id] = self.texts[row_id][: row.length]
        while len(text) < length:
            self._written += 1
            self.slots[self.pool.slots(row, len(text), len(text) + 1)[0]] = self._written
            text.append(self._written)
        row.length = length
        return True

    def inherit(self, row_id: int, of_id: int, length: int, room: int) -> bool:
        self.close(row_id)
        row, of = self.row(row_id), self.row(of_id)
        length = min(length, of.length)
        done = self.pool.inherit(row, of, length, max(room, length), self._copy)
        if done:
            self.texts[row_id] = self.texts[of_id][:length]
        assert row.length == (length if done else 0)
        return done

    def close(self, row_id: int) -> None:
        self.pool.close(row_id)
        self.texts.pop(row_id, None)

    def check(self) -> None:
        pool = self.pool
        rows = [pool[row_id] for row_id in self.texts]
        blocks = [block for row in rows for block in row.blocks]
        assert len(blocks) == len(set(blocks)) == pool.num_blocks - pool.num_free
        assert pool.num_available == pool.num_free + sum(len(row.blocks) for row in rows if row.since)
        for row in rows:
            assert row.length <= row.capacity
            assert [self.slots[slot] for slot in pool.slots(row, 0, row.length)] == self.texts[row.id][: row.length]
            span = pool.span(row, min(3, row.length), row.capacity)
            listed = list(range(span.start, span.stop)) if isinstance(span, slice) else span
            assert listed == pool.slots(row, min(3, row.length), row.capacity)

    def _copy(self, source, destination) -> None:
        at = [list(range(place.start, place.stop)) if isinstance(place, slice) else place for place in (source, destination)]
        assert not set(at[0]) & set(at[1])
        for old, new in zip(*at, strict=True):
            self.slots[new] = self.slots[old]


IDS, LENGTHS = st.integers(0, 6), st.integers(0, 9 * BLOCK_SIZE)
ACTIONS = st.one_of(
    st.tuples(st.just("write"), IDS, LENGTHS),
    st.tuples(st.just("rest"), IDS, LENGTHS),
    st.tuples(st.just("inherit"), st.tuples(IDS, IDS), LENGTHS),
    st.tuples(st.just("close"), IDS, LENGTHS),
)


@given(st.lists(ACTIONS, max_size=60))
def test_whatever_is_done_rows_hold_their_own_and_all_blocks_come_back(actions):
    cache = Cache()
    for what, which, length in actions:
        if what == "write":
            cache.write(which, length)
        elif what == "rest":
            row = cache.row(which)
            cache.pool.rest(row, min(row.length, length))
        elif what == "inherit" and which[0] != which[1]:
            cache.inherit(*which, length, length + BLOCK_SIZE)
        elif what == "close":
            cache.close(which)
        cache.check()
    for row_id in list(cache.texts):
        cache.close(row_id)
    assert (cache.pool.num_free, len(cache.pool)) == (BLOCKS, 0)


def test_rows_that_grow_in_turn_stay_contiguous_while_there_is_room():
    pool = RowPool(64)
    rows = [pool.open(i) for i in range(4)]
    for length in range(1, 8 * BLOCK_SIZE, 5):
        assert all(pool.reserve(row, length) for row in rows)
    assert all(row.contiguous for row in rows)


def test_a_reservation_that_does_not_fit_takes_nothing():
    cache = Cache(3)
    cache.write(1, BLOCK_SIZE)
    cache.write(0, 1)
    cache.pool.rest(cache.pool[0], 1)
    assert not cache.write(2, 2 * BLOCK_SIZE + 1)
    assert cache.pool[0].length == 1


def test_the_longest_at_rest_gives_way_first_and_from_its_end():
    cache = Cache(8)
    for row_id in (0, 1):
        cache.write(row_id, 4 * BLOCK_SIZE)
        cache.pool.rest(cache.pool[row_id], 4 * BLOCK_SIZE)
    cache.write(2, 1)
    assert [cache.pool[i].length for i in (0, 1)] == [3 * BLOCK_SIZE, 4 * BLOCK_SIZE]
    cache.write(3, 3 * BLOCK_SIZE)
    assert [cache.pool[i].length for i in (0, 1)] == [0, 4 * BLOCK_SIZE]
    cache.check()


def test_rows_in_use_are_runs_of_slots_however_many_rest():
    """A pool full of resting rows of two blocks: what rests makes room at one place, and in the way of what grows."""
    cache = Cache(64)
    for row_id in range(40):
        cache.write(row_id, 2 * BLOCK_SIZE)
        cache.pool.rest(cache.pool[row_id], 2 * BLOCK_SIZE)
    for row_id in (50, 51):
        for length in (5 * BLOCK_SIZE, 6 * BLOCK_SIZE, 9 * BLOCK_SIZE):
            assert cache.write(row_id, length)
    assert all(cache.pool[row_id].contiguous for row_id in (50, 51))
    assert sum(cache.pool[row_id].length > 0 for row_id in range(40)) >= 20
    cache.check()


def test_a_row_at_rest_hands_over_what_goes_on_and_keeps_what_another_only_begins_like():
    cache = Cache(12)
    cache.write(0, 200)
    cache.pool.rest(cache.pool[0], 200)
    blocks = list(cache.pool[0].blocks)
    assert cache.inherit(1, 0, 195, 210)
    assert (cache.pool[1].blocks, cache.pool[0].blocks) == (blocks, [])
    cache.pool.rest(cache.pool[1], 195)
    assert cache.inherit(2, 1, 70, 90)
    assert [cache.pool[i].length for i in (1, 2)] == [195, 70]
    assert cache.pool[1].blocks == blocks
    cache.check()


def test_where_there_is_no_room_for_a_copy_a_row_at_rest_hands_over_and_one_in_use_does_not():
    cache = Cache(4)
    cache.write(0, 4 * BLOCK_SIZE)
    assert not cache.inherit(1, 0, 100, 120)
    cache.pool.rest(cache.pool[0], 4 * BLOCK_SIZE)
    assert cache.inherit(1, 0, 100, 120)
    assert (len(cache.pool[1].blocks), cache.pool[0].length) == (2, 0)
    cache.check()
