"""Connections: their number is bounded, and none waits for ever for a request; probes are answered all the same."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest

from covey.config import ServerConfig
from covey.server import connections, lingering
from tests.server.running import Running, eventually, running

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"


@contextlib.contextmanager
def raw(server: Running, count: int = 1):
    """Connections that have said nothing yet."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection(server.server.address, timeout=20)) for _ in range(count)]
        yield made


def heard(connection: socket.socket) -> bytes:
    """All that comes, until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(4096):
            parts.append(part)
    return b"".join(parts)


def error_in(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def open_in(server: Running) -> int:
    return len(server.server._uvicorn.server_state.connections)


@pytest.fixture(scope="module")
def small():
    with running(config=ServerConfig(port=0, max_connections=3)) as found:
        assert eventually(lambda: open_in(found) == 0)
        yield found


def test_beyond_the_limit_only_probes_and_metrics_are_answered(small):
    with raw(small, 3), small.http() as http:
        assert eventually(lambda: open_in(small) == 3)
        answer = http.post("/v1/completions", json={"prompt": "hi", "max_tokens": 1})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1 and answer.headers["connection"] == "close"
        assert "max_connections=3" in answer.json()["error"]["message"] and answer.headers["x-request-id"]
        assert [http.get(path).status_code for path in ("/health/live", "/health/ready", "/metrics", "/version")] == [200, 200, 200, 503]
    assert eventually(lambda: open_in(small) == 0)
    with small.http() as http:
        assert http.post("/v1/completions", json={"prompt": "hi", "max_tokens": 1}).status_code == 200


def test_a_connection_within_the_limit_stays_served_when_others_crowd(small):
    with small.http() as http:
        assert http.get("/version").status_code == 200
        with raw(small, 4):
            assert eventually(lambda: open_in(small) == 5)
            assert http.get("/version").status_code == 200


def test_far_beyond_the_limit_a_connection_is_refused_at_once(small, monkeypatch):
    monkeypatch.setattr(connections, "_SPARE", 0)
    with raw(small, 3), raw(small) as (refused,):
        answer = heard(refused)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable") and error_in(answer)["code"] == "overloaded"


def test_headers_that_do_not_come_are_given_up():
    with running(config=ServerConfig(port=0, body_seconds=0.3)) as server, raw(server, 2) as (slow, silent):
        slow.sendall(HEAD)
        answer = heard(slow)
        assert answer.startswith(b"HTTP/1.1 408") and error_in(answer)["code"] == "header_timeout"
        assert heard(silent) == b""


def test_no_time_runs_while_no_request_is_awaited(small):
    """Between requests there is uvicorn's own, and a request may take as long as it may take."""
    with small.http() as http:
        assert http.get("/version").status_code == 200
        assert [each._head._handle for each in small.server._uvicorn.server_state.connections] == [None]
        assert http.get("/version").status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # somebody speaks TLS
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"X: " + b"x" * 70_000, 431),
        (HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_no_http_is_refused_in_the_usual_form(small, caplog, sent, status):
    with raw(small) as (connection,):
        connection.sendall(sent)
        answer = heard(connection)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer
    assert error_in(answer)["code"] == "invalid_http"
    assert eventually(lambda: open_in(small) == 0) and "Traceback" not in caplog.text


def test_nobody_has_to_send_to_a_client_that_does_not_read(monkeypatch):
    monkeypatch.setattr(connections, "_UNREAD_SECONDS", 0.2)
    with running(max_num_seqs=4) as server, raw(server) as (deaf,):
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps({"prompt": "the birds", "n": 16, "max_tokens": 2000, "ignore_eos": True, "stream": True, "logprobs": 5}).encode()
        deaf.sendall(HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert eventually(lambda: server.service.gates["toy"].running > 0)
        assert eventually(lambda: open_in(server) == 0, seconds=60)
        assert eventually(server.at_rest)


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (HEAD + b"Content-Length: 6000000\r\n\r\n", b"413", "body_too_large"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nnothing of the kind\r\n", b"400", "invalid_http"),
        (b"no request\r\n\r\n", b"400", "invalid_http"),
    ],
)
def test_who_is_refused_while_speaking_may_finish_and_reads_why(small, head, status, code):
    with raw(small) as [connection]:
        connection.sendall(head)
        answer = heard(connection)  # and the end of what the server has to say
        assert answer.split()[1] == status and error_in(answer)["code"] == code
        for _ in range(60):
            connection.sendall(b"1" * 100_000)  # a connection that is reset takes no more
        assert open_in(small) == 1
    assert eventually(lambda: open_in(small) == 0)


def test_who_goes_on_speaking_to_nobody_is_cut_off(small, monkeypatch):
    monkeypatch.setattr(lingering, "_SECONDS", 0.05)
    with raw(small) as [connection]:
        connection.sendall(HEAD + b"Content-Length: 6000000\r\n\r\n")
        assert error_in(heard(connection))["code"] == "body_too_large"
        assert eventually(lambda: open_in(small) == 0)


def test_a_server_that_stops_waits_for_nobody_who_was_refused(caplog, monkeypatch):
    monkeypatch.setattr(lingering, "_SECONDS", 600.0)
    with running() as server, raw(server) as [connection]:
        connection.sendall(HEAD + b"Content-Length: 6000000\r\n\r\n")
        assert error_in(heard(connection))["code"] == "body_too_large"
        server.server.drain()
        server.thread.join(60)
    assert "graceful shutdown exceeded" not in caplog.text  # uvicorn's words when its patience ends
