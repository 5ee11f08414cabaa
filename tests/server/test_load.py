"""Under load: a bounded queue, fairness, aborts within a step, time limits, draining, and a stuck engine."""

from __future__ import annotations

import concurrent.futures
import json
import socket

import httpx
import openai
import pytest

from covey.config import ServerConfig
from covey.server.gate import Ticket
from covey.server.keys import Keys
from tests.server.running import KEY, OTHER, PacedTarget, eventually, running

MESSAGES = [{"role": "user", "content": "the birds"}]
LONG = {"model": "toy", "messages": MESSAGES, "max_tokens": 3000, "ignore_eos": True}
SHORT = {"model": "toy", "messages": MESSAGES, "max_tokens": 2, "ignore_eos": True}
CHAT = "/v1/chat/completions"


@pytest.fixture
def paced():
    """A server of one row whose target waits to be let."""
    target = PacedTarget()
    with running({"toy": target}, ServerConfig(port=0, queue_size=2), max_num_seqs=1) as found:
        found.target = target
        yield found
        target.free.set()


@pytest.mark.parametrize("n", [1, 3])
def test_leaving_a_stream_frees_its_rows_within_a_step(paced, n):
    target = paced.target
    target.allowed.release(3)
    with paced.http() as http, http.stream("POST", CHAT, json={**LONG, "n": n, "stream": True}) as answer:
        next(answer.iter_lines())
    # The client has gone. The engine may be within a pass; it makes no further one for it.
    assert eventually(lambda: paced.service.gates["toy"].idle)
    before = target.passes
    target.allowed.release(5)
    assert eventually(paced.at_rest)
    assert target.passes <= before + 1


def test_leaving_while_an_answer_is_not_streamed_frees_its_rows(paced):
    with paced.http() as http, pytest.raises(httpx.TimeoutException):
        http.post(CHAT, json=LONG, timeout=httpx.Timeout(20, read=0.3))
    assert eventually(lambda: paced.service.gates["toy"].idle)
    paced.target.allowed.release(2)
    assert eventually(paced.at_rest)


def test_leaving_while_waiting_gives_up_the_place(paced):
    gate = paced.service.gates["toy"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool, paced.http() as http:
        running_ones = [pool.submit(http.post, CHAT, json=SHORT) for _ in range(2)]
        assert eventually(lambda: gate.running == 2)
        with pytest.raises(httpx.TimeoutException):
            http.post(CHAT, json=LONG, timeout=httpx.Timeout(20, read=0.3))
        assert eventually(lambda: gate.waiting == 0)
        paced.target.free.set()
        assert [answer.result().status_code for answer in running_ones] == [200, 200]


def test_a_full_queue_is_a_503_that_says_when_to_come_back(paced):
    with concurrent.futures.ThreadPoolExecutor(4) as pool, paced.http() as http:
        taken = [pool.submit(http.post, CHAT, json=SHORT) for _ in range(4)]  # one row, one ahead, two waiting
        assert eventually(lambda: paced.service.gates["toy"].waiting == 2)
        for stream in (False, True):
            answer = http.post(CHAT, json={**SHORT, "stream": stream})
            assert (answer.status_code, answer.json()["error"]["type"]) == (503, "service_unavailable")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        with pytest.raises(openai.InternalServerError, match="queue is full"):
            paced.openai().chat.completions.create(model="toy", messages=MESSAGES)
        paced.target.free.set()
        assert [answer.result().status_code for answer in taken] == [200] * 4


def test_one_keys_crowd_does_not_keep_another_waiting(monkeypatch):
    target, order, let_in = PacedTarget(), [], Ticket.let_in

    def noted(ticket: Ticket) -> None:
        order.append(ticket.caller)
        let_in(ticket)

    def ask(url: str, key: str) -> None:
        httpx.post(url + CHAT, json=SHORT, headers={"authorization": f"Bearer {key}"}, timeout=60).raise_for_status()

    monkeypatch.setattr(Ticket, "let_in", noted)

    with running({"toy": target}, ServerConfig(port=0), Keys({"crowd": KEY, "other": OTHER}), max_num_seqs=1) as server:
        gate = server.service.gates["toy"]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            crowd = [pool.submit(ask, server.url, KEY) for _ in range(10)]
            assert eventually(lambda: gate.waiting == 8)
            other = pool.submit(ask, server.url, OTHER)
            assert eventually(lambda: gate.waiting == 9)
            target.free.set()
            for answer in (*crowd, other):
                answer.result()
    assert order[:3] == ["crowd", "crowd", "other"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_takes_too_long_is_ended(stream):
    target = PacedTarget()
    with running({"toy": target}, ServerConfig(port=0, request_seconds=2 if stream else 0.5)) as server, server.http() as http:
        if stream:
            target.allowed.release(1)
        answer = http.post(CHAT, json={**LONG, "stream": stream})
        if stream:  # it had begun
            last = [line for line in answer.iter_lines() if line][-1]
            error = json.loads(last.removeprefix("data: "))["error"]
        else:
            assert answer.status_code == 504
            error = answer.json()["error"]
        assert error["code"] == "request_timeout"
        target.free.set()
        assert eventually(server.at_rest)


def test_a_body_that_does_not_come_is_given_up():
    with running(config=ServerConfig(port=0, body_seconds=0.3)) as server, socket.create_connection(server.server.address) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        raw.settimeout(20)
        assert raw.recv(4096).startswith(b"HTTP/1.1 408")


class BrokenTarget(PacedTarget):
    """Fails in its third pass."""

    def verify(self, works, give=None):
        if self.passes == 2:
            self.passes += 1
            raise MemoryError("a secret of the engine")
        return super().verify(works, give)


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails_is_said_and_goes_on(stream):
    target = BrokenTarget()
    target.free.set()
    with running({"toy": target}, num_speculative_tokens=0) as server:
        with pytest.raises(openai.APIError, match="the engine failed") as caught:
            list(server.openai().chat.completions.create(model="toy", messages=MESSAGES, stream=stream, max_tokens=50))
        assert "secret" not in str(caught.value)
        assert server.openai().chat.completions.create(model="toy", messages=MESSAGES, max_tokens=5).usage.completion_tokens
        assert eventually(server.at_rest)


def test_draining_ends_what_runs_and_what_waits_and_takes_nothing_more(paced):
    gate = paced.service.gates["toy"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool, paced.http() as http:
        taken = [pool.submit(http.post, CHAT, json=SHORT) for _ in range(3)]
        assert eventually(lambda: (gate.running, gate.waiting) == (2, 1))
        paced.server.drain()
        refused = http.post(CHAT, json=SHORT)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert (http.get("/health/ready").status_code, http.get("/health/live").status_code) == (503, 200)
        paced.target.free.set()
        assert [answer.result().status_code for answer in taken] == [200] * 3
    paced.thread.join(20)
    assert not paced.thread.is_alive()


def test_draining_twice_cuts_off_what_runs(paced, caplog):
    with concurrent.futures.ThreadPoolExecutor(1) as pool, paced.http() as http:
        taken = pool.submit(http.post, CHAT, json=LONG)
        assert eventually(lambda: paced.service.gates["toy"].running == 1)
        paced.server.drain()
        assert eventually(lambda: http.get("/health/ready").status_code == 503)
        paced.server.drain()
        paced.target.free.set()
        paced.thread.join(20)
        assert not paced.thread.is_alive()
        with pytest.raises(httpx.HTTPError):
            taken.result().raise_for_status()
    assert "Traceback" not in caplog.text and "Exception in ASGI" not in caplog.text


def test_an_engine_that_is_stuck_is_not_ready_until_it_gets_on():
    target = PacedTarget()
    config = ServerConfig(port=0, watchdog_seconds=0.3)
    with running({"toy": target}, config) as server, server.http() as http, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert http.get("/health/ready").status_code == 200
        taken = pool.submit(http.post, CHAT, json=SHORT)
        assert eventually(lambda: http.get("/health/ready").status_code == 503)
        assert "stuck" in http.get("/health/ready").json()["error"]["message"]
        assert http.get("/health/live").status_code == 200
        target.free.set()
        assert taken.result().status_code == 200
        assert eventually(lambda: http.get("/health/ready").status_code == 200)
