"""Records outlive sequences and processes, by kind of request, and do not grow without end."""

from __future__ import annotations

import pytest

from covey import SamplingParams
from covey.drafters import CollectiveDrafter
from covey.drafters.records import Records
from covey.errors import CoveyError
from covey.types import Sequence
from tests.drafters.members import Says, propose


def test_records_are_kept_by_label_and_from_one_process_to_the_next(tmp_path):
    def made():
        return CollectiveDrafter([Says(7), Says(8)], weights="log_odds", min_survival=0.0, state=tmp_path / "state.json")

    first = made()
    for number, (label, token) in enumerate([("sevens", 7), ("eights", 8)] * 30):
        text = Sequence(id=number, prompt=(1, 2), params=SamplingParams(max_tokens=1000, label=label))
        draft = propose(first, text, 1)
        text.commit([token])
        first.commit(text, draft, int(draft.tokens == (token,)))
        first.stop(text)
    first.close()
    second = made()
    for label, token in (("sevens", 7), ("eights", 8)):
        text = Sequence(id=0, prompt=(1, 2), params=SamplingParams(max_tokens=1000, label=label))
        assert propose(second, text, 1).tokens == (token,)
        second.stop(text)
    assert second.records.of("", "") == pytest.approx([0.48, 0.48], abs=0.03)
    assert second.records.of("", "never seen") == pytest.approx(second.records.of("", ""))
    with pytest.raises(CoveyError, match=r"state=.*: it does not hold the records of says 9 \(it is of says 7, says 8\)"):
        CollectiveDrafter([Says(9)], state=tmp_path / "state.json")


def test_labels_without_end_are_forgotten():
    records = Records(("a",))
    for number in range(3000):
        records.record("t", f"label {number}", 0, True)
    assert len(records._rates) <= 1024
    assert records.of("t", "")[0] > 0.9
