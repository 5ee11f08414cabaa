"""/live and `speculation: {"show": true}`: what they tell is what happened, and to whom it belongs."""

from __future__ import annotations

import contextlib
import json

import pytest

from covey.server import live
from covey.server.keys import Keys
from tests.server.running import KEY, OTHER, eventually, running

PROMPT = "the birds sing, the birds sing"


@pytest.fixture(scope="module")
def guarded():
    with running(keys=Keys({"first": KEY, "second": OTHER})) as found:
        yield found


def snapshots(server, key, enough):
    """Those that came, up to the one that is enough."""
    found = []
    with server.http(headers={"authorization": f"Bearer {key or None}"}) as http, http.stream("GET", "/live") as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data: ")))
                if enough(found):
                    return found
    return found


def test_it_tells_each_caller_what_happened_and_nothing_of_others(guarded):
    rounds = []
    stop = guarded.llm.observe(rounds.append)
    guarded.openai(KEY).completions.create(model="toy", prompt=PROMPT, max_tokens=100, extra_body={"ignore_eos": True, "label": "private"})
    stop()
    total = sum(len(each.tokens) for each in rounds)
    mine = snapshots(guarded, KEY, lambda found: sum(each["models"]["toy"]["tokens"] for each in found) >= total)
    seconds = [each["models"]["toy"] for each in mine]
    assert sum(each["tokens"] for each in seconds) == total == 100
    drafted = sum(len(each.drafted) for each in rounds)
    assert (
        sum(each["drafted"] for each in seconds) == sum(each["drafters"].get("suffix", {}).get("drafted", 0) for each in seconds) == drafted
    )
    assert sum(count for each in seconds for count in each["lengths"].values()) == sum(1 for each in rounds if each.tokens)
    assert [each["label"] for each in mine[-1]["labels"]] == ["private"]
    theirs = snapshots(guarded, OTHER, lambda found: "labels" in found[-1])
    assert theirs[-1]["labels"] == [] and "private" not in json.dumps(theirs)


def test_it_takes_a_key(guarded):
    with guarded.http() as http:
        assert http.get("/live").status_code == http.get("/live", params={"key": KEY}).status_code == 401


def test_a_follower_that_leaves_is_counted_out(guarded):
    snapshots(guarded, KEY, bool)
    assert eventually(lambda: guarded.service.live._followers.total() == 0)


def test_one_key_cannot_take_every_followers_place(guarded):
    theirs = {"authorization": f"Bearer {KEY}"}
    with contextlib.ExitStack() as following, guarded.http(headers=theirs) as http:
        for _ in range(live._MOST_OF_ONE):
            assert following.enter_context(http.stream("GET", "/live")).status_code == 200
        refused = http.get("/live")
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert snapshots(guarded, OTHER, bool)
    assert eventually(lambda: guarded.service.live._followers.total() == 0)


def test_followers_are_let_go_when_the_server_drains():
    with running() as server:
        seen = snapshots(server, "", lambda found: server.server.drain() if len(found) == 2 else False)
        server.thread.join(20)
        assert not server.thread.is_alive()
    assert len(seen) >= 2


@pytest.mark.parametrize("path", ["completions", "chat/completions"])
def test_a_stream_shows_who_drafted_what(server, path):
    body = {"model": "toy", "stream": True, "max_tokens": 80, "ignore_eos": True, "n": 2, "temperature": 0.5, "seed": 1}
    body |= {"prompt": PROMPT} if path == "completions" else {"messages": [{"role": "user", "content": PROMPT}]}
    text = lambda choice: choice.get("text") or choice.get("delta", {}).get("content") or ""  # noqa: E731
    plain, shown, accepted = ["", ""], ["", ""], 0
    rounds = []
    stop = server.llm.observe(rounds.append)
    with (
        server.http() as http,
        http.stream("POST", f"/v1/{path}", json=body | {"speculation": {"show": True}, "include_metrics": True}) as answer,
    ):
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    stop()
    for event in events:
        for choice in event["choices"]:
            plain[choice["index"]] += text(choice)
        for token in event.get("covey", {}).get("tokens", ()):
            shown[event["covey"]["index"]] += token["text"]
            assert token["drafters"] in ([], ["suffix"])
            accepted += bool(token["drafters"])
    assert plain == shown and all(plain)
    assert (
        accepted == events[-1]["metrics"]["speculative_decoding"]["num_accepted_draft_tokens"] == sum(each.accepted for each in rounds) > 0
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"speculation": {"show": True}}, "speculation.show"),
        ({"speculation": {}}, "speculation"),
        ({"speculation": {"show": 1}}, "speculation.show"),
    ],
)
def test_what_cannot_be_shown_is_refused(server, body, param):
    with server.http() as http:
        answer = http.post("/v1/completions", json={"prompt": "hi", **body})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param
