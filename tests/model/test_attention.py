"""The cache of a layer of attention. What attention computes is held against transformers, in tests/exactness."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from covey.model.attention import Layer


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc, which only Linux has")
def test_rows_far_from_one_another_touch_little_memory() -> None:
    """Where a machine clears huge pages, each first position would cost 2 MiB in every cache of every layer."""
    layer = Layer(4, 64, 64, None)
    layer.allocate(1 << 18, torch.float32, torch.device("cpu"))  # 256 MiB each, and nothing of it yet

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    for slot in range(0, 1 << 18, 1 << 12):
        layer.keys[slot] = 1.0
    assert resident() - before < 16 << 20
    assert layer.keys[1].eq(0).all() and layer.keys[1 << 12].eq(1).all()
