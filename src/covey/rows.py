"""The accounting of a KV cache: which token slots belong to which sequence, and how many positions are valid.

A pool of slots is cut into blocks; a row is one sequence's list of blocks, addressed by position. A row grows by
the neighbouring block where that is free, so that most rows are one run of slots and attention reads them without
a gather. Rejecting drafted tokens is setting `length`. A row that nobody uses for now can be put to rest: it keeps what it holds
until a row in use wants the blocks, and a new row can inherit from it. Holds no tensors: caches and the scheduler share it.

    pool = RowPool(num_blocks=64); row = pool.open(7); pool.reserve(row, 100); pool.span(row, 0, 100)
    pool.rest(row, 90); pool.inherit(pool.open(8), row, 80, room=120, copy=copy)
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

BLOCK_SIZE = 64
READ_AT_ONCE = 2 * BLOCK_SIZE  # positions of a prompt that are read together, from a multiple of it on: see Scheduler
FREE, HELD = 0, math.inf  # of a block; what lies between says since when the row that has it rests

Place = slice | list[int]  # slots: of a run, or one by one


@dataclass(eq=False)
class Row:
    """One sequence's place: blocks in order of position, and how many positions hold valid keys and values.

    since: when it was put to rest, counted by its pool; 0 while it is in use. What rests may be found shorter, or empty, later.
    """

    id: int
    blocks: list[int] = field(default_factory=list)
    length: int = 0
    contiguous: bool = True
    since: int = 0

    @property
    def capacity(self) -> int:
        """How many positions it has room for."""
        return len(self.blocks) * BLOCK_SIZE


class RowPool:
    """Blocks of BLOCK_SIZE token slots, numbered from 0; slot = block * BLOCK_SIZE + position % BLOCK_SIZE."""

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.num_free = num_blocks
        self._states: list[float] = [FREE] * num_blocks
        self._rows: dict[int, Row] = {}
        self._resting: dict[int, Row] = {}  # by when they were put to rest, the longest at rest first
        self._now = 0

    @property
    def num_slots(self) -> int:
        return self.num_blocks * BLOCK_SIZE

    @property
    def num_available(self) -> int:
        """Blocks that rows in use can have: free ones, and those of rows at rest."""
        return self.num_free + sum(len(row.blocks) for row in self._resting.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row_id: int) -> bool:
        return row_id in self._rows

    def __getitem__(self, row_id: int) -> Row:
        return self._rows[row_id]

    def open(self, row_id: int) -> Row:
        """A new row without blocks."""
        if row_id in self._rows:
            raise ValueError(f"row {row_id} is open already: close it first")
        row = self._rows[row_id] = Row(row_id)
        return row

    def close(self, row_id: int) -> None:
        """Give back a row's blocks. Closing a row that is not open is no error: aborts may come twice."""
        row = self._rows.pop(row_id, None)
        if row is not None:
            self.cut(row, 0)
            self._wake(row)

    def cut(self, row: Row, length: int) -> None:
        """Give back the blocks behind position `length`."""
        keep = _blocks(length)
        for block in row.blocks[keep:]:
            self._states[block] = FREE
        self.num_free += len(row.blocks[keep:])
        del row.blocks[keep:]
        row.length = min(row.length, length)
        row.contiguous = row.contiguous or all(after == before + 1 for before, after in zip(row.blocks, row.blocks[1:], strict=False))

    def rest(self, row: Row, length: int) -> None:
        """Nobody uses this row for now: positions below `length` are kept until their blocks are wanted, those of the oldest rows first.

        Whoever reserves a row has it in use again.
        """
        self.cut(row, length)
        self._wake(row)
        self._now += 1
        row.since = self._now
        self._resting[row.since] = row
        self._mark(row)

    def reserve(self, row: Row, length: int) -> bool:
        """Make room for positions below length. False, and nothing taken, when the pool has not that many blocks.

        Rows at rest give up blocks where free ones do not do: too few, or not in one run.
        """
        self._wake(row)
        missing = _blocks(length) - len(row.blocks)
        if missing > self.num_free and missing > self.num_available:
            return False
        for left in range(missing, 0, -1):
            block = self._next(row)
            if block is None:
                row.contiguous = not row.blocks
                block = self._home(left)
            self._states[block] = HELD
            self.num_free -= 1
            row.blocks.append(block)
        return True

    def inherit(self, row: Row, of: Row, length: int, room: int, copy: Callable[[Place, Place], None]) -> bool:
        """Let a new row have the first `length` positions of another; False when there is no place for them.

        A row at rest that holds little else hands its blocks over, and is empty then. Of any other one the slots are copied: `copy` is
        called with where they are and where they belong, and positions below `room` are reserved, so that what follows finds its place
        behind them. Where that does not fit, a row at rest hands over what it has all the same.
        """
        rests, done = of.since > 0, False
        if not rests or len(of.blocks) > _blocks(length):
            self._wake(of)  # it must not be given up for its own copy
            try:
                done = self.reserve(row, room)
                if done:
                    copy(self.span(of, 0, length), self.span(row, 0, length))
            finally:
                if rests:
                    self.rest(of, of.capacity)
        if rests and not done:
            self._wake(of)
            row.blocks, row.contiguous = of.blocks, of.contiguous
            of.blocks, of.length, of.contiguous = [], 0, True
            self.cut(row, length)
            done = True
        if done:
            row.length = length
        return done

    def _wake(self, row: Row) -> None:
        if row.since:
            del self._resting[row.since]
            row.since = 0
            self._mark(row)

    def _mark(self, row: Row) -> None:
        """Note of a row's blocks whether it rests, and since when."""
        for block in row.blocks:
            self._states[block] = row.since or HELD

    def _next(self, row: Row) -> int | None:
        """The free block behind a row's last; a row at rest that stands there gives way. None where there is none to be had."""
        block = row.blocks[-1] + 1 if row.blocks else self.num_blocks
        if block >= self.num_blocks or self._states[block] == HELD:
            return None
        self._give_up(block)
        return block

    def _home(self, count: int) -> int:
        """Where `count` free blocks begin: in the middle of the longest run, or at its start if that is at 0.

        Where it is too short rows at rest make room, at the place where those that must have rested longest. Where rows in use leave no
        place that large a block of the longest run must do.
        """
        start, length = self._longest_run()
        if length < count and self._resting:
            place = self._least_wanted(count) if count > 1 else None
            if place is not None:
                for block in range(place, place + count):
                    self._give_up(block)
                return place
            if not length:
                self._give_up(next(row for row in self._resting.values() if row.blocks).blocks[-1])
                start, length = self._longest_run()
        return start if start == 0 else start + min(length // 2, max(0, length - count))

    def _longest_run(self) -> tuple[int, int]:
        """Where the longest run of free blocks begins, and its length."""
        best_start, best_length, start = 0, 0, None
        for block in range(self.num_blocks + 1):
            if block < self.num_blocks and self._states[block] == FREE:
                start = block if start is None else start
            elif start is not None:
                if block - start > best_length:
                    best_start, best_length = start, block - start
                start = None
        return best_start, best_length

    def _least_wanted(self, count: int) -> int | None:
        """Where `count` neighbouring blocks begin, none in use, of which the one put to rest last has rested the longest; None: nowhere."""
        found, oldest = None, HELD
        latest: deque[int] = deque()  # of the window's blocks, those that are followed by none put to rest later
        for block, state in enumerate(self._states):
            while latest and self._states[latest[-1]] <= state:
                latest.pop()
            latest.append(block)
            if latest[0] <= block - count:
                latest.popleft()
            if block >= count - 1 and self._states[latest[0]] < oldest:
                found, oldest = block - count + 1, self._states[latest[0]]
        return found

    def _give_up(self, block: int) -> None:
        """Have a row at rest give up this block, and with it all behind it. Nothing to do for a free one."""
        if self._states[block] != FREE:
            row = self._resting[int(self._states[block])]
            self.cut(row, row.blocks.index(block) * BLOCK_SIZE)

    def span(self, row: Row, start: int, stop: int) -> Place:
        """The slots of positions start..stop-1: a slice where they are one run, else their list."""
        if row.contiguous:
            base = row.blocks[0] * BLOCK_SIZE if row.blocks else 0
            return slice(base + start, base + stop)
        return self.slots(row, start, stop)

    def slots(self, row: Row, start: int, stop: int) -> list[int]:
        """The slots of positions start..stop-1, one by one."""
        return [row.blocks[p // BLOCK_SIZE] * BLOCK_SIZE + p % BLOCK_SIZE for p in range(start, stop)]


def _blocks(length: int) -> int:
    """How many blocks hold so many positions."""
    return -(-length // BLOCK_SIZE)
