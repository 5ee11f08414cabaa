"""`covey serve` as a process: it answers, warns, and ends as it should."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.cli.commands import error_of

KEY = "key-from-the-environment"


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextlib.contextmanager
def served(tmp_path, *options: str, port: int | None = None, **environment: str):
    """The process and its address, once it is ready."""
    port = port or free_port()
    command = [sys.executable, "-m", "covey", "serve", "--controller", "fixed", "--port", str(port), *options]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, cwd=tmp_path, stderr=log, env={**os.environ, **environment})
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health/ready").status_code == 200:
                    break
            time.sleep(0.1)
        yield process, url
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        log.close()


BODY = {"model": "birds", "prompt": "the birds", "max_tokens": 1500, "ignore_eos": True, "stream": True}


def test_sigterm_under_load_loses_no_running_request(tmp_path):
    with served(tmp_path, "--models", "birds=toy,others=toy", COVEY_API_KEYS=KEY) as (process, url):
        ends, begun = [], threading.Semaphore(0)

        def ask() -> None:
            with httpx.stream(
                "POST", f"{url}/v1/completions", json=BODY, headers={"authorization": f"Bearer {KEY}"}, timeout=120
            ) as answer:
                lines = answer.iter_lines()
                next(lines)
                begun.release()
                ends.append([line for line in lines if line][-1])

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert begun.acquire(timeout=60)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(httpx.TransportError):  # ready is off at once; the last requests may even be done by now
            assert httpx.get(f"{url}/health/ready").status_code == 503
        for thread in threads:
            thread.join(120)
        assert ends == ["data: [DONE]"] * 4
        assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert "draining" in log and "Traceback" not in log and KEY not in log and "the birds" not in log


@pytest.mark.slow
def test_what_was_killed_under_load_serves_again_at_the_same_place(tmp_path):
    """With what was kept in its cache, which a kill must not leave half written."""
    port, cache, texts = free_port(), str(tmp_path / "cache"), []
    for _ in range(2):
        with served(tmp_path, "--target", "toy", port=port, COVEY_CACHE=cache) as (process, url):
            answer = httpx.post(f"{url}/v1/completions", json={"prompt": "hi", "max_tokens": 20}, timeout=60)
            texts.append(answer.raise_for_status().json()["choices"][0]["text"])
            with contextlib.ExitStack() as streams:
                body = {**BODY, "model": "toy"}
                for _ in range(4):
                    stream = streams.enter_context(httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60))
                    lines = stream.iter_lines()
                    next(lines)
                process.kill()
                with pytest.raises(httpx.TransportError):
                    list(lines)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--keys-file", "none.txt"), "keys_file='none.txt': no such file or directory"),
        (("--host", "203.0.113.77"), "host='203.0.113.77', port="),
        (("--queue-size", "-1"), "queue_size=-1: queue_size must be a whole number from 0"),
        (("--models", "toy"), "models='toy': models must be written as NAME=TARGET"),
        (("--models", "a=toy,a=toy"), "models='a=toy,a=toy': models must have names of their own"),
        (("--models", "a=toy"), "target='toy': models names the targets already"),
        (("--temperature", "-1"), "temperature=-1.0: temperature must be a number"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, says):
    assert error_of("serve", "--target", "toy", "--controller", "fixed", *options).startswith(says)
