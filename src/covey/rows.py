"""The accounting of a KV cache: which token slots belong to which sequence, and how many positions are valid.

A pool of slots is cut into blocks; a row is one sequence's list of blocks, addressed by position. A row grows by
the neighbouring block where that is free, so that most rows are one run of slots and attention reads them without
a gather. Rejecting drafted tokens is setting `length`. Holds no tensors: caches and the scheduler share it.

    pool = RowPool(num_blocks=64); row = pool.open(7); pool.reserve(row, 100); pool.span(row, 0, 100)
"""

from __future__ import annotations

from dataclasses import dataclass, field

BLOCK_SIZE = 64


@dataclass(eq=False)
class Row:
    """One sequence's place: blocks in order of position, and how many positions hold valid keys and values."""

    id: int
    blocks: list[int] = field(default_factory=list)
    length: int = 0
    contiguous: bool = True


class RowPool:
    """Blocks of BLOCK_SIZE token slots, numbered from 0; slot = block * BLOCK_SIZE + position % BLOCK_SIZE."""

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.num_free = num_blocks
        self._used = bytearray(num_blocks)
        self._rows: dict[int, Row] = {}

    @property
    def num_slots(self) -> int:
        return self.num_blocks * BLOCK_SIZE

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
            for block in row.blocks:
                self._used[block] = 0
            self.num_free += len(row.blocks)
            row.blocks, row.length = [], 0

    def reserve(self, row: Row, length: int) -> bool:
        """Make room for positions below length. False, and nothing taken, when the pool has not that many blocks."""
        missing = -(-length // BLOCK_SIZE) - len(row.blocks)
        if missing > self.num_free:
            return False
        for _ in range(missing):
            block = row.blocks[-1] + 1 if row.blocks else self._home()
            if block >= self.num_blocks or self._used[block]:
                row.contiguous = False
                block = self._home()
            self._used[block] = 1
            self.num_free -= 1
            row.blocks.append(block)
        return True

    def _home(self) -> int:
        """A free block with much room behind it: the middle of the longest free run, its start if that is at 0."""
        best_start, best_length, start = 0, 0, None
        for block in range(self.num_blocks + 1):
            if block < self.num_blocks and not self._used[block]:
                start = block if start is None else start
            elif start is not None:
                if block - start > best_length:
                    best_start, best_length = start, block - start
                start = None
        return best_start if best_start == 0 else best_start + best_length // 2

    def span(self, row: Row, start: int, stop: int) -> slice | list[int]:
        """The slots of positions start..stop-1: a slice where they are one run, else their list."""
        if row.contiguous:
            base = row.blocks[0] * BLOCK_SIZE if row.blocks else 0
            return slice(base + start, base + stop)
        return self.slots(row, start, stop)

    def slots(self, row: Row, start: int, stop: int) -> list[int]:
        """The slots of positions start..stop-1, one by one."""
        return [row.blocks[p // BLOCK_SIZE] * BLOCK_SIZE + p % BLOCK_SIZE for p in range(start, stop)]
