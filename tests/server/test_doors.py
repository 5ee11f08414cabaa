"""Who may ask: keys, hosts, origins, and what is written into the log."""

from __future__ import annotations

import logging

import openai
import pytest

from covey.config import ConfigError, Secrets, ServerConfig
from covey.server.errors import ApiError
from covey.server.keys import Keys
from covey.server.origins import Origins, is_loopback
from tests.server.running import KEY, OTHER, running

ADMIN = "key-of-the-administrator"
BODY = {"model": "toy", "messages": [{"role": "user", "content": "a very private question"}], "max_tokens": 3}
WRONG = [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {ADMIN}", "Bearer \xff"]
PATHS = ["/v1/models", "/v1/models/toy", "/version", "/metrics", "/openapi.json", "/nothing", "/v1/chat/completions", "/live"]


@pytest.fixture(scope="module")
def guarded():
    config = ServerConfig(port=0, allowed_hosts=["covey.example"], allowed_origins=["https://page.example"])
    with running(config=config, keys=Keys({"first": KEY, "second": OTHER}, ADMIN)) as found:
        yield found


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {ADMIN}", "Bearer \xff"]
)
def test_every_path_but_the_probes_takes_a_key(guarded, path, authorization):
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    with guarded.http() as http:
        answer = http.get(path, headers=headers)
        assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert http.get("/health/live").status_code == http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_each_key_opens(guarded, key):
    assert guarded.openai(key).models.list().data[0].id == "toy"
    assert guarded.openai(key).models.retrieve("toy").owned_by == "covey"
    with pytest.raises(openai.AuthenticationError):
        guarded.openai("wrong").models.list()


def test_admin_calls_take_the_admins_key_alone(guarded):
    with guarded.http() as http:
        statuses = [http.get("/admin/speculation", headers={"authorization": f"Bearer {key}"}).status_code for key in (KEY, "wrong", ADMIN)]
    assert statuses == [401, 401, 200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "covey.example"}, 200),
        ({"host": "COVEY.example:80"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "192.168.1.5"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "covey.example.evil.example:80"}, 403),
        ({"host": ""}, 403),
        ({"origin": "https://page.example"}, 200),
        ({"host": "localhost:1", "origin": "http://localhost:1"}, 200),
        ({"host": "localhost:1", "origin": "http://localhost:2"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://[bad"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_hosts_and_origins_are_held_against_the_list(guarded, headers, status):
    with guarded.http() as http:
        answer = http.get("/v1/models", headers={"authorization": f"Bearer {KEY}", **headers})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_a_star_allows_all_hosts_and_no_origin():
    origins = Origins.of(ServerConfig(allowed_hosts=["*"]))
    origins.check("anything.example", None)
    with pytest.raises(ApiError, match="Origin"):
        origins.check("anything.example", "https://other.example")


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("covey.example", False)]
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_listening_to_the_network_without_a_key_is_said_loudly(caplog):
    with caplog.at_level(logging.WARNING, "covey.server"), running(config=ServerConfig(host="0.0.0.0", port=0)):
        assert "ANYBODY WHO CAN REACH 0.0.0.0" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "covey.server"), running(config=ServerConfig(host="0.0.0.0", port=0), keys=Keys({"first": KEY})):
        assert "ANYBODY" not in caplog.text


@pytest.mark.parametrize("log_prompts", [False, True])
def test_the_log_holds_prompts_only_where_that_is_wanted(caplog, log_prompts):
    with caplog.at_level(logging.DEBUG), running(config=ServerConfig(port=0, log_prompts=log_prompts)) as server, server.http() as http:
        http.post("/v1/chat/completions", json=BODY)
        http.post("/v1/chat/completions?private=1", json={**BODY, "temperature": "private"})
        http.get("/v1/models/a%0Ab")
    covey = [record.getMessage() for record in caplog.records if record.name == "covey.server"]
    assert any("POST /v1/chat/completions 200" in line for line in covey)
    assert any("private" in line for line in covey) is log_prompts
    assert any(r"/v1/models/a\nb" in line for line in covey) and not any("\n" in line for line in covey)


def test_no_collector_of_telemetry_is_told_of_requests(monkeypatch):
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with running() as server:
        assert not server.server.app._telemetry["auto_configure"] and not server.server.app._native_telemetry.enabled()


def test_keys_come_from_a_file_and_from_the_environment(tmp_path, monkeypatch):
    place = tmp_path / "keys"
    place.write_text(f"# ours\nfirst {KEY}\n\n{OTHER}  # no name\n")
    keys = Keys.read(ServerConfig(keys_file=place), Secrets(("key-from-the-environment",), ADMIN))
    names = [keys.caller(f"Bearer {key}").name for key in (KEY, OTHER, "key-from-the-environment")]
    assert names == ["first", "key-4", "environment-1"]
    assert keys.is_admin(f"Bearer {ADMIN}") and not keys.is_admin(f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it holds no key"),
        ("a b c\n", "line 1 has 3 words"),
        (f"a {KEY}\na {OTHER}\n", "line 2 has the name of another key"),
        (f"{KEY}\n{KEY}\n", "two of them are the same"),
        ("short\n", "at least 16 printable ASCII characters"),
    ],
)
def test_a_bad_keys_file_is_refused_without_showing_keys(tmp_path, text, says):
    place = tmp_path / "keys"
    place.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        Keys.read(ServerConfig(keys_file=place), Secrets())
    assert KEY not in str(caught.value) and "short" not in str(caught.value)


def test_a_missing_keys_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        Keys.read(ServerConfig(keys_file=tmp_path / "none"), Secrets())
