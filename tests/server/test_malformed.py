"""Whatever is sent, the server answers with what the request deserves: never a 5xx, never a hang."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covey.server.keys import Keys
from covey.server.schemas import ChatRequest, CompletionRequest
from tests.server.running import eventually, running

ADMIN = "key-of-the-administrator"
FEW, MANY = 200, 10_000
PATHS = {"/v1/chat/completions": ChatRequest, "/v1/completions": CompletionRequest}
VALID = {"model": "toy", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "max_tokens": 2}

numbers = st.integers() | st.floats(allow_nan=True) | st.sampled_from([0, -1, 1, 2, 0.5, 2**31, 2**63, 2**64, 1e308, -1e308])
leaves = st.none() | st.booleans() | numbers | st.text(max_size=12) | st.sampled_from(["toy", "user", "text", "auto", "<end>", "\ud800"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=8
)


@st.composite
def nearly(draw, path):
    """A valid body in which some fields hold anything."""
    fields = list(PATHS[path].model_fields)
    body = {name: value for name, value in VALID.items() if name in fields}
    changed = draw(st.lists(st.sampled_from(fields), max_size=3))
    body |= {name: draw(values) for name in changed}
    body |= draw(st.dictionaries(st.text(max_size=8), values, max_size=1))
    body["max_tokens"] = body["max_tokens"] if draw(st.booleans()) else 2
    return json.dumps(body).encode()


@st.composite
def broken(draw, path):
    """Bytes that were JSON once."""
    raw = bytearray(draw(nearly(path)))
    for at in draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = draw(st.integers(0, 255))
    return bytes(raw[: draw(st.integers(0, len(raw)))])


requests = st.sampled_from(sorted(PATHS)).flatmap(
    lambda path: st.tuples(st.just(path), nearly(path) | broken(path) | st.binary(max_size=40))
)


@pytest.fixture(scope="module")
def brief():
    """A server whose requests are short: what is not malformed is answered."""
    from covey.config import ServerConfig

    with running(config=ServerConfig(port=0, request_seconds=20), keys=Keys({}, ADMIN)) as found, found.http() as http:
        yield found, http


def survives(brief, count: int) -> None:
    server, http = brief

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(requests)
    def check(request):
        path, content = request
        answer = http.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 404), answer.text
        if answer.status_code != 200:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    check()
    assert server.openai().chat.completions.create(model="toy", messages=VALID["messages"], max_tokens=3).usage.completion_tokens
    assert eventually(server.at_rest)


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
        limits = settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
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
