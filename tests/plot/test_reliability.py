"""How far estimates can be trusted: those of an honest drafter, and those of a boaster, which the controller corrects."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.errors import CoveyError
from covey.plot import draw_reliability, trusted
from covey.replay import Recorded
from tests.control.test_goodput import texts


def test_an_honest_drafter_needs_no_correction() -> None:
    found = trusted(texts(0.7, count=60))
    assert found["drafter"].error < 0.05 and found["controller"].error < 0.06
    assert sum(count for _, _, count in found["drafter"].classes) > 2000


def test_a_boaster_is_corrected() -> None:
    found = trusted(texts(0.3, count=60, sure=0.9))
    assert found["drafter"].error == pytest.approx(0.6, abs=0.06)
    assert found["controller"].error < 0.1


def test_texts_without_drafts_are_refused() -> None:
    with pytest.raises(CoveyError, match="no drafts in it"):
        trusted([Recorded(3, (1, 2, 3), {})])


def test_it_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="no pictures without the extra `train`")
    draw_reliability({"honest": trusted(texts(0.7)), "boaster": trusted(texts(0.3, sure=0.9))}, tmp_path / "r.png")
    assert (tmp_path / "r.png").stat().st_size > 5000
