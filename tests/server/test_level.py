"""The long run's acceptance outlives the process, and a draft that was changed in the meantime is noticed."""

from __future__ import annotations

import pytest

from covey import AsyncLLM, SamplingParams
from covey.config import ServerConfig
from covey.drafters.corpus import Corpus
from covey.drafters.expected import expect
from covey.server.activity import Activity
from covey.server.keys import Keys
from covey.server.level import Level
from covey.server.rules import RULES
from covey.server.service import Service
from tests.server.test_metrics import round_of

ABOUT = {"target": "toy", "drafters": ["suffix"]}


def observed(level: Level, accepted: int, rounds: int) -> Activity:
    activity = Activity({}, level)
    for number in range(rounds):
        activity.observe(round_of(sequence_id=number, accepted=accepted, finish_reason="length"), None)
    return activity


def test_a_change_while_the_server_was_down_is_an_alert_of_the_first_minute(tmp_path):
    before = observed(Level.of(tmp_path, ABOUT), accepted=3, rounds=1000)
    before.keep()
    after = observed(Level.of(tmp_path, ABOUT), accepted=1, rounds=100)
    reading = RULES["acceptance"].read([after.take()], ServerConfig())
    assert reading is not None and reading.broken(0.0) and "in the long run" in reading.says
    unknown = observed(Level.of(tmp_path, {**ABOUT, "drafters": ["nested"]}), accepted=1, rounds=100)
    assert RULES["acceptance"].read([unknown.take()], ServerConfig()) is None


def test_what_is_not_known_yet_is_not_kept(tmp_path):
    observed(Level.of(tmp_path, ABOUT), accepted=3, rounds=10).keep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("held", ["", "[]", "{}", '{"drafted": 3000, "accepted": 4000}', '{"drafted": 1e300, "accepted": 1}', "\xff"])
def test_a_file_without_sense_is_as_good_as_none(tmp_path, held):
    (tmp_path / "level.json").write_text(held)
    assert Level(tmp_path / "level.json").share is None


def test_a_folder_that_cannot_be_written_to_is_no_failure(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    observed(Level(tmp_path / "file" / "level.json"), accepted=3, rounds=1000).keep()
    assert "could not be kept" in caplog.text


def service(state, **options) -> Service:
    llm = AsyncLLM("toy", controller="fixed", **options)
    made = Service(llm, ServerConfig(), SamplingParams(), Keys({}), state)
    made.closing = lambda: (made.close(), llm.close())
    return made


def test_a_server_takes_up_what_the_one_before_it_kept(tmp_path):
    first = service(tmp_path, drafters=["suffix"])
    for number in range(1000):
        first._observe(round_of(target="toy", sequence_id=number, finish_reason="length"))
    first.closing()
    again, other = service(tmp_path, drafters=["suffix"]), service(tmp_path, drafters=["suffix"], num_speculative_tokens=2)
    assert again._activities["toy"].take().level == pytest.approx(1.0)
    assert other._activities["toy"].take().level is None
    again.closing(), other.closing()


def test_a_server_expects_of_drafters_what_was_measured_of_them(tmp_path):
    Corpus.of([[1, 2, 3, 1, 2, 3]]).save(tmp_path / "corpus.safetensors")
    expect(tmp_path, "toy", 0.4, "by hand")
    made = service(None, drafters=[f"suffix:{tmp_path / 'corpus.safetensors'}"])
    assert made._activities["toy"].take().expected == 0.4
    made.closing()
