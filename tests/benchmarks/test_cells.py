"""What is said of many measured cells at once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def gap_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from cells import gap_closed

    return gap_closed


def test_a_cell_counts_by_how_much_its_lengths_differ(gap_closed) -> None:
    half, nothing = (15.0, 10.0, 20.0), (99.0, 100.0, 100.1)
    assert gap_closed([half]) == 0.5
    assert gap_closed([(31.0, 24.0, 32.0), (29.0, 29.5, 30.0)]) == pytest.approx(0.76, abs=0.005)
    assert gap_closed([half, nothing]) == pytest.approx(0.5, abs=0.03)  # by itself it would be -10
    assert gap_closed([(30.0, 20.0, 40.0), half]) == 0.5  # whatever the speeds
    assert gap_closed([half, (20.0, 10.0, 20.0), (20.0, 10.0, 20.0)]) == pytest.approx(2.5 / 3)


def test_without_a_gap_there_is_no_share(gap_closed) -> None:
    assert gap_closed([]) is None and gap_closed([(1.0, 2.0, 2.0)]) is None
