"""/admin/speculation: what an admin may change takes effect, what cannot be is refused by name, and no text changes."""

from __future__ import annotations

import logging

import pytest

from covey.drafters import CollectiveDrafter, SuffixDrafter
from covey.server.keys import Keys
from tests.server.running import running

ADMIN = "key-of-the-administrator"
HEADERS = {"authorization": f"Bearer {ADMIN}"}
PATH = "/admin/speculation"
FIELDS = {"ignore_eos": True, "include_metrics": True}


@pytest.fixture(scope="module", params=["token", "sequence"])
def server(request):
    one, other = SuffixDrafter(min_match=1), SuffixDrafter(min_match=2)
    one.name, other.name = "one", "other"
    with running(drafters=[CollectiveDrafter([one, other], vote=request.param, thrifty=False)], keys=Keys({}, ADMIN)) as found:
        yield found


@pytest.fixture
def http(server):
    with server.http(headers=HEADERS) as client:
        yield client
        client.patch(PATH, json={"num_speculative_tokens": 4, "members": ["one", "other"], "min_survival": 0.15})


def written(server, **more):
    return server.openai().completions.create(model="toy", prompt="the birds sing, the birds", max_tokens=60, extra_body={**FIELDS, **more})


def test_it_can_be_read(http):
    state = {"num_speculative_tokens": 4, "most_speculative_tokens": 4, "members": {"one": True, "other": True}, "min_survival": 0.15}
    assert http.get(PATH).json() == {"models": {"toy": {**state, "thresholds": None}}}


@pytest.mark.parametrize(
    ("change", "fields"),
    [({"num_speculative_tokens": 1}, ("one", "other")), ({"members": ["other"]}, ("other",)), ({"min_survival": 0.9}, ("one", "other"))],
)
def test_a_change_takes_effect_and_no_text_changes(server, http, change, fields):
    before, rounds = written(server), []
    answer = http.patch(PATH, json=change)
    assert answer.status_code == 200
    stop = server.llm.observe(rounds.append)
    after = written(server)
    stop()
    assert after.choices[0].text == before.choices[0].text
    if "num_speculative_tokens" in change:
        assert max(len(each.drafted) for each in rounds) == max(each.planned for each in rounds) == 1
    if "members" in change:
        assert answer.json()["members"] == {"one": False, "other": True}
        assert {name for each in rounds for names in each.votes for name in names} == {"other"}
    if "min_survival" in change:
        assert all(each.survival[-1] >= 0.9 for each in rounds if each.drafted)


def test_no_drafts_at_all_is_plain_decoding(server, http):
    http.patch(PATH, json={"num_speculative_tokens": 0})
    answer = written(server)
    assert answer.model_extra["metrics"]["speculative_decoding"]["num_draft_tokens"] == 0


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"num_speculative_tokens": 5}, "num_speculative_tokens", "from 0 to 4"),
        ({"num_speculative_tokens": -1}, "num_speculative_tokens", "from 0 to 4"),
        ({"num_speculative_tokens": True}, "num_speculative_tokens", "valid integer"),
        ({"members": []}, "members", "at least one of one, other"),
        ({"members": ["two"]}, "members", "at least one of one, other"),
        ({"min_survival": 1}, "min_survival", "from 0 to below 1"),
        ({"thresholds": {"nested:x": [0.5]}}, "thresholds", "no drafter here has any"),
        ({"temperature": 1}, "temperature", "does not support it"),
        ({"model": "other", "members": ["one"]}, "model", "no such model"),
        ({}, None, "nothing is to be changed"),
    ],
)
def test_what_cannot_be_is_refused_by_name(http, change, field, message):
    answer = http.patch(PATH, json=change)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == field and message in answer.json()["error"]["message"]


def test_all_or_nothing_is_changed(http):
    before = http.get(PATH).json()
    assert http.patch(PATH, json={"num_speculative_tokens": 1, "members": ["two"]}).status_code == 400
    assert http.get(PATH).json() == before


def test_changes_are_logged(http, caplog):
    with caplog.at_level(logging.INFO, logger="covey.server"):
        http.patch(PATH, json={"num_speculative_tokens": 2}, headers={"x-request-id": "mine"})
    assert "request mine, the admin's, changes for toy: num_speculative_tokens from 4 to 2" in caplog.messages


def test_a_controller_that_sets_the_floor_itself_takes_none():
    with running(controller="goodput", keys=Keys({}, ADMIN)) as server, server.http(headers=HEADERS) as http:
        assert http.get(PATH).json()["models"]["toy"]["min_survival"] is None
        answer = http.patch(PATH, json={"min_survival": 0.5})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "min_survival"
