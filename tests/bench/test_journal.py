"""A journal keeps what was measured, refuses what was not measured alike, and survives a cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.bench.journal import Journal, journal_path
from covey.bench.measurement import Unit
from covey.errors import CoveyError
from tests.bench.samples import drafted, measurement

CONDITIONS = {"settings": {"max_tokens": 8, "tasks": ("qa",)}, "commit": "abc"}


def test_it_lies_beside_the_result() -> None:
    assert journal_path(Path("a/out.json")) == Path("a/out.json.journal")


def test_what_was_appended_is_held_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "out.json.journal"
    first = Journal(path, CONDITIONS)
    measurements = [
        measurement("plain", passes=drafted(1.0, drafts=2, drafted=5, accepted=3)),
        measurement("transformers", outputs=[[1], [2, 3]], batch=2, group="qa/2/0"),
        measurement("llamacpp", tell_ids=False),
    ]
    for entry in measurements:
        first.append(entry)
    again = Journal(path, CONDITIONS)
    assert again.held(Unit(1, 0, "qa/1/0")) == {"plain": measurements[0], "llamacpp": measurements[2]}
    assert again.held(Unit(2, 0, "qa/2/0")) == {"transformers": measurements[1]}
    assert again.held(Unit(1, 1, "qa/1/0")) == {}


def test_a_later_measurement_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, CONDITIONS)
    journal.append(measurement(seconds=1.0))
    journal.append(measurement(seconds=3.0))
    for held in (journal, Journal(path, CONDITIONS)):
        assert held.held(Unit(1, 0, "qa/1/0"))["plain"].answer.seconds == 3.0


def test_a_line_that_was_cut_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path, CONDITIONS).append(measurement("plain"))
    with path.open("a") as file:
        file.write('{"batch": 1, "repe')
    again = Journal(path, CONDITIONS)
    again.append(measurement("fixed-4"))
    assert Journal(path, CONDITIONS).held(Unit(1, 0, "qa/1/0")).keys() == {"plain", "fixed-4"}


def test_other_conditions_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path, CONDITIONS)
    with pytest.raises(CoveyError, match="commit='abc', now it is 'def'") as error:
        Journal(path, {**CONDITIONS, "commit": "def"})
    assert "\n" not in str(error.value)


def test_another_file_of_that_name_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for content in (b"my notes\n", b"[1, 2]\n", b'{"conditions": 3}\n', b"\xff\xfe\n"):
        path.write_bytes(content)
        with pytest.raises(CoveyError, match="not a journal"):
            Journal(path, CONDITIONS)
        assert path.read_bytes() == content


def test_without_a_file_it_forgets() -> None:
    journal = Journal(None, CONDITIONS)
    journal.append(measurement())
    assert journal.held(Unit(1, 0, "qa/1/0"))
    journal.remove()


def test_remove_takes_the_file_away(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", CONDITIONS)
    journal.remove()
    assert list(tmp_path.iterdir()) == []
