"""Whatever is sent, the server answers with what the request deserves: never a 5xx, never a hang."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from covey import SamplingParams
from covey.config import ServerConfig
from covey.server.keys import Keys
from tests.server.malformed import RIGHT, USER, requests
from tests.server.running import eventually, running

ADMIN = "key-of-the-administrator"
FEW, MANY = 200, 10_000


@pytest.fixture(scope="module")
def brief():
    """A server whose answers are short: what is not malformed is answered."""
    headers = {"authorization": f"Bearer {ADMIN}"}  # which only /admin/ asks for
    options = {"keys": Keys({}, ADMIN), "defaults": SamplingParams(max_tokens=4), "max_model_len": 512}
    with running(config=ServerConfig(port=0), **options) as found, found.http(headers=headers) as http:
        yield found, http


def survives(brief, count: int) -> None:
    server, http = brief
    seen: Counter[int] = Counter()

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(requests)
    def check(request):
        method, path, content = request
        answer = http.request(method, path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 404), answer.text
        if answer.status_code != 200:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        seen[answer.status_code] += 1

    check()
    assert seen.total() >= count and min(seen[200], seen[400]) > count / 20, seen
    assert server.openai().chat.completions.create(model="toy", messages=[USER], max_tokens=3).usage.completion_tokens
    assert eventually(server.at_rest)


@pytest.mark.parametrize(("method", "path"), sorted(RIGHT))
def test_what_bodies_are_broken_from_is_right(brief, method, path):
    """But for members, where there are none to choose from."""
    answers = [brief[1].request(method, path, json=body) for body in RIGHT[method, path]]
    wrong = [answer.json()["error"]["param"] for answer in answers if answer.status_code != 200]
    assert wrong == (["members"] if path.startswith("/admin") else [])


def test_malformed_bodies_are_answered(brief):
    survives(brief, FEW)


@pytest.mark.slow
def test_ten_thousand_malformed_bodies_are_answered(brief):
    survives(brief, MANY)


LARGE = [
    ("/v1/completions", b'{"prompt":[' + b"1," * 2_000_000 + b"1]}"),
    ("/v1/completions", b'{"prompt":[' + b'"",' * 1_000_000 + b"1]}"),
    ("/v1/completions", b'{"stop_token_ids":[' + b'"",' * 1_000_000 + b'1],"prompt":""}'),
    ("/v1/completions", b'{"prompt":"a","stop":[' + b"1," * 1_500_000 + b"1]}"),
    ("/v1/chat/completions", b'{"messages":[' + b"1," * 1_500_000 + b"1]}"),
    ("/v1/chat/completions", b'{"messages":[{"role":"user","content":[' + b"1," * 1_500_000 + b"1]}]}"),
    ("/v1/chat/completions", b"{" + b",".join(b'"%d":0' % i for i in range(300_000)) + b"}"),
    ("/v1/chat/completions", b'{"messages":[{' + b",".join(b'"%d":0' % i for i in range(300_000)) + b"}]}"),
    ("/v1/chat/completions", b'{"logit_bias":{' + b",".join(b'"%d":0' % i for i in range(300_000)) + b'},"messages":[]}'),
    ("/v1/chat/completions", b'{"seed":' + b"9" * 4_000_000 + b"}"),
    ("/v1/completions", b'{"prompt":[' + b"[]," * 1_300_000 + b"[1]]}"),
    ("/v1/completions", b'{"logit_bias":{' + b",".join(b'"%d":0' % i for i in range(60_000)) + b'},"prompt":"a"}'),
]


@pytest.mark.parametrize("number", range(len(LARGE)))
def test_large_nonsense_is_refused_and_others_are_served(brief, number):
    _, http = brief
    path, content = LARGE[number]
    answer = http.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and len(answer.content) < 2000


def conforms(server, count: int) -> None:
    """Every answer is one that the OpenAPI document promises."""
    with server.http() as http:
        schema = schemathesis.openapi.from_dict(http.get("/openapi.json").json())
    schema.config.update(base_url=server.url)
    schema = schema.exclude(path="/live")  # an answer without an end
    for operation in schema.get_all_operations():
        limits = settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
        limits(given(operation.ok().as_strategy())(validate))()


def validate(case) -> None:
    """One call: its status, its kind and its shape are among those that the document promises."""
    promised = schemathesis.specs.openapi.checks
    answer = case.call(timeout=60, headers={"authorization": f"Bearer {ADMIN}"})  # which only /admin/ asks for here
    checks = (
        schemathesis.checks.not_a_server_error,
        promised.status_code_conformance,
        promised.content_type_conformance,
        promised.response_schema_conformance,
    )
    case.validate_response(answer, checks=list(checks))


def test_answers_are_those_that_the_document_promises(brief):
    conforms(brief[0], 15)


@pytest.mark.slow
def test_many_answers_are_those_that_the_document_promises(brief):
    conforms(brief[0], 1000)
