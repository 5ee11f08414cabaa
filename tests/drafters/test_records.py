"""Records outlive sequences and processes, by kind of request, and do not grow without end."""

from __future__ import annotations

import json

import pytest

from covey import SamplingParams
from covey.drafters import CollectiveDrafter
from covey.drafters.economy import Economy
from covey.drafters.records import Records
from covey.drafters.winnings import kind_of
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
    with pytest.raises(CoveyError, match=r"state file .*: it does not hold the records of says 9 \(it is of says 7, says 8, format 4\)"):
        CollectiveDrafter([Says(9)], state=tmp_path / "state.json")


def test_labels_without_end_are_forgotten():
    records = Records(("a",))
    for number in range(3000):
        records.record("t", f"label {number}", 0, True)
    assert len(records._rates) <= 1024
    assert records.of("t", "")[0] > 0.9


def test_what_asking_wins_is_kept_too_and_what_it_costs_is_not(tmp_path):
    first = CollectiveDrafter([Says(7), Says(8)], state=tmp_path / "state.json")
    books = first.economy("t")
    for _ in range(40):
        books.winnings[1].learn(kind_of(0.2), won=0)
        first.ledger.kinship("t").record([(0, 5), (1, 5)], known=6)
        first.ledger._corrections_of("t").record((1, (2, 3)), estimate=0.9, hit=False)
    books.spent((1,), 0.5, guesses=1, sequences=1)
    first.close()
    second = CollectiveDrafter([Says(7), Says(8)], state=tmp_path / "state.json")
    known, fresh = second.economy("t"), Economy(2)
    for kind in (0, kind_of(0.2), kind_of(0.8)):
        assert known.winnings[1].gain(kind, 1.5) == books.winnings[1].gain(kind, 1.5)
    assert known.winnings[1].gain(kind_of(0.2), 1.5) < fresh.winnings[1].gain(kind_of(0.2), 1.5)
    assert second.ledger.kinship("t").of(0, 1) == first.ledger.kinship("t").of(0, 1) > 0.5
    assert second.ledger._corrections_of("t").of((1, (2, 3)), 0.9) == first.ledger._corrections_of("t").of((1, (2, 3)), 0.9) < 0.8
    assert known.cost(1) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda held: held.pop("targets"),
        lambda held: held["targets"]["t"]["winnings"].pop(),
        lambda held: held["targets"]["t"]["winnings"][0]["right"].__setitem__(3, 0.0),
        lambda held: held["targets"]["t"]["winnings"][0]["won"].append(1.0),
        lambda held: held["targets"]["t"]["winnings"][0]["asked"].__setitem__(0, "many"),
        lambda held: held["targets"]["t"]["kinship"].__setitem__(1, [[1.0], [1.0]]),
        lambda held: held["targets"]["t"]["corrections"].append([[1], float("nan"), 1.0]),
        lambda held: held["kinds"].append(["t", "", [[1.0, 2.0]]]),
        lambda held: held.update(format=1),
    ],
)
def test_a_file_that_was_spoilt_is_refused(spoil, tmp_path):
    place = tmp_path / "state.json"
    first = CollectiveDrafter([Says(7), Says(8)], state=place)
    first.economy("t")
    first.close()
    held = json.loads(place.read_text())
    spoil(held)
    place.write_text(json.dumps(held))
    with pytest.raises(CoveyError, match="does not hold the records of says 7, says 8"):
        CollectiveDrafter([Says(7), Says(8)], state=place)


def test_a_place_that_cannot_be_written_is_refused_at_once_and_one_that_goes_is_a_warning(tmp_path, caplog):
    for place in (tmp_path / "missing" / "state.json", tmp_path):
        with pytest.raises(CoveyError, match="state file .* cannot be written there"):
            CollectiveDrafter([Says(7)], state=place)
    (tmp_path / "folder").mkdir()
    made = CollectiveDrafter([Says(7)], state=tmp_path / "folder" / "state.json")
    (tmp_path / "folder").rmdir()
    made.close()
    assert "what collective 'says 7' has learned is lost" in caplog.text
