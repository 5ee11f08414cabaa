"""What is not supported or out of range is refused by name, in OpenAI's shape, and nothing is ignored."""

from __future__ import annotations

import json

import openai
import pytest

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
BODY = {CHAT: {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}, TEXT: {"model": "toy", "prompt": "hi"}}

CALLED = {"id": "a", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": "a" * 200_000})}}
DESCRIBED = {"type": "function", "function": {"name": "f", "description": "a" * 200_000}}

# Path, what is sent beside the body above, the field that is named, and what the message says.
REFUSED = [
    (TEXT, {"echo": True}, "echo", "does not support it"),
    (TEXT, {"best_of": 2}, "best_of", "does not support it"),
    (TEXT, {"suffix": "x"}, "suffix", "does not support it"),
    (TEXT, {"temprature": 1}, "temprature", "did you mean temperature?"),
    (TEXT, {"logprobs": 21}, "logprobs", "logprobs=21: logprobs must be None or a whole number from 0 to 20"),
    (TEXT, {"logprobs": True}, "logprobs", "logprobs=True: input should be a valid integer"),
    (TEXT, {"prompt": []}, "prompt", "a text, a list of token ids, or a list of such"),
    (TEXT, {"prompt": [[]]}, "prompt", "a text, a list of token ids, or a list of such"),
    (TEXT, {"prompt": ["a", [1]]}, "prompt", "a text, a list of token ids, or a list of such"),
    (TEXT, {"prompt": ["a"] * 33}, "prompt", "at most 32"),
    (TEXT, {"prompt": ""}, "prompt", "prompt has no tokens"),
    (TEXT, {"prompt": [1, -1]}, "prompt", "ids must be from 0 to"),
    (TEXT, {"prompt": [10**6]}, "prompt", "ids must be from 0 to"),
    (TEXT, {"prompt": [1] * 5000}, "prompt", "must leave room for one more"),
    (TEXT, {"prompt": "a" * 200_000}, "prompt", "must leave room for one more"),
    (TEXT, {"prompt": "a" * 5000}, "prompt", "must leave room for one more"),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": [CALLED]}]}, "messages", "characters: max_model_len"),
    (CHAT, {"tools": [DESCRIBED]}, "messages", "characters: max_model_len"),
    (CHAT, {"functions": []}, "functions", "does not support it"),
    (CHAT, {"audio": {}}, "audio", "does not support it"),
    (CHAT, {"response_format": {"type": "xml"}}, "response_format.type", "must be text, json_object or json_schema"),
    (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": 5}}}}, "response_format", "mend it"),
    (CHAT, {"response_format": {"type": "json_object"}, "min_tokens": 3}, "min_tokens", "grammar"),
    (CHAT, {"tools": [{"type": "function"}]}, "tools[0]", "must be"),
    (CHAT, {"tool_choice": "required"}, "tool_choice", "there are no tools"),
    (CHAT, {"messages": []}, "messages", "at least 1 item"),
    (CHAT, {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "input should be 'system'"),
    (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content", "is required"),
    (CHAT, {"messages": [{"role": "user", "content": "x", "name": "A"}]}, "messages[0]", "a role and a content and nothing else"),
    (CHAT, {"messages": [{"role": "user", "content": "x", "tool_call_id": "1"}]}, "messages[0]", "nothing else"),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0]", "'function': {'name'"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[0].content[0].type", "'text'"),
    (CHAT, {"messages": [{"role": "user", "content": "\ud800"}]}, None, "not valid JSON"),
    (CHAT, {"messages": [{"role": "user", "content": "x" * 5000}]}, "messages", "must leave room for one more"),
    (CHAT, {"top_logprobs": 2}, "top_logprobs", "send logprobs: true"),
    (CHAT, {"logprobs": True, "top_logprobs": 21}, "top_logprobs", "from 0 to 20"),
    (CHAT, {"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens", "send one of them"),
    (CHAT, {"max_completion_tokens": 0}, "max_completion_tokens", "max_completion_tokens=0: max_completion_tokens must be a whole number"),
    (CHAT, {"n": 17}, "n", "n=17: n must be a whole number from 1 to 16"),
    (CHAT, {"n": 0}, "n", "from 1 to"),
    (CHAT, {"seed": -1}, "seed", "from 0 to 2**64 - 1"),
    (CHAT, {"seed": "1"}, "seed", "input should be a valid integer"),
    (CHAT, {"stop": ["a"] * 17}, "stop", "at most 16"),
    (CHAT, {"stop": ""}, "stop", "strings of 1 to 1024 characters"),
    (CHAT, {"temperature": -0.1}, "temperature", "from 0 to 100"),
    (CHAT, {"temperature": "hot"}, "temperature", "input should be a valid number"),
    (CHAT, {"top_p": 0}, "top_p", "above 0 and at most 1"),
    (CHAT, {"frequency_penalty": 3}, "frequency_penalty", "from -2 to 2"),
    (CHAT, {"presence_penalty": -3}, "presence_penalty", "from -2 to 2"),
    (CHAT, {"repetition_penalty": 0}, "repetition_penalty", "above 0"),
    (CHAT, {"min_p": 2}, "min_p", "from 0 to 1"),
    (CHAT, {"top_k": -1}, "top_k", "from 0 to"),
    (CHAT, {"min_tokens": 9, "max_tokens": 3}, "min_tokens", "from 0 to max_tokens"),
    (CHAT, {"ignore_eos": 1}, "ignore_eos", "input should be a valid boolean"),
    (CHAT, {"stop_token_ids": [-1]}, "stop_token_ids", "whole numbers from 0"),
    (CHAT, {"stop_token_ids": [9999]}, "stop_token_ids", "below the vocabulary size"),
    (CHAT, {"logit_bias": {"²": 1}}, "logit_bias", "keys must be token ids"),
    (CHAT, {"logit_bias": {"9999": 1}}, "logit_bias", "below the vocabulary size"),
    (CHAT, {"logit_bias": {"1": 101}}, "logit_bias", "from -100 to 100"),
    (CHAT, {"metadata": {str(i): "" for i in range(17)}}, "metadata", "at most 16"),
    (CHAT, {"label": "x" * 257}, "label", "at most 256 characters"),
    (CHAT, {"speculation": {"num_tokens": -1}}, "speculation", "k from 0"),
    (CHAT, {"speculation": {"num_tokens": 1, "drafters": ["a"]}}, "speculation", "some of suffix, or none"),
    (CHAT, {"stream_options": {"include_usage": True}}, "stream_options", "for streams alone"),
    (CHAT, {"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "does not support it"),
    (CHAT, {"stream": True, "messages": [{"role": "user", "content": "x" * 5000}]}, "messages", "must leave room for one more"),
    (CHAT, {"stream_options": dict.fromkeys(map(str, range(65)))}, "stream_options", "at most 64"),
]


@pytest.mark.parametrize(("path", "fields", "param", "says"), REFUSED, ids=lambda each: str(each)[:40])
def test_a_field_is_refused_by_name(server, path, fields, param, says):
    with server.http() as http:
        body = json.dumps({**BODY[path], **fields})
        answer = http.post(path, content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert says in error["message"] and "\n" not in error["message"]
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "code"),
    [
        ("GET", "/nothing", {}, "", 404, "not_found"),
        ("GET", "/admin/anything", {}, "", 404, "not_found"),
        ("GET", CHAT, {}, "", 405, "method_not_allowed"),
        ("POST", "/v1/models", {}, "", 405, "method_not_allowed"),
        ("GET", "/v1/models/nobody", {}, "", 404, "model_not_found"),
        ("POST", CHAT, {}, '{"model": "nobody", "messages": [{"role": "user", "content": "hi"}]}', 404, "model_not_found"),
        ("POST", CHAT, {"content-type": "text/plain"}, "{}", 415, "unsupported_media_type"),
        ("POST", CHAT, {}, "{", 400, None),
        ("POST", CHAT, {}, "[1]", 400, None),
        ("POST", CHAT, {}, '{"temperature": NaN}', 400, None),
        ("POST", CHAT, {}, "[" * 100_000, 400, None),
        ("POST", CHAT, {}, '{"model": "toy"}', 400, None),
        ("POST", CHAT, {}, '{"a":' + "1" * 5_000_000 + "}", 413, "body_too_large"),
    ],
)
def test_everything_that_goes_wrong_has_one_shape(server, method, path, headers, content, status, code):
    with server.http() as http:
        answer = http.request(method, path, headers={"content-type": "application/json", **headers}, content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], set(error)) == (status, code, {"message", "type", "param", "code"})
    assert answer.headers["x-request-id"].startswith("req-")


def test_a_body_that_says_nothing_of_its_size_is_counted(server):
    with server.http() as http:
        answer = http.post(CHAT, content=(b"[" * 65536 for _ in range(80)), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_the_official_client_raises_its_own_errors(server):
    with pytest.raises(openai.NotFoundError) as caught:
        server.openai().chat.completions.create(model="nobody", messages=BODY[CHAT]["messages"])
    assert caught.value.body["code"] == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="n=17"):
        server.openai().completions.create(model="toy", prompt="hi", n=17)


def test_headers_that_are_too_large_are_refused(server):
    with server.http() as http:
        assert http.get("/v1/models", headers={"x-large": "x" * 16_384}).json()["error"]["code"] == "headers_too_large"
        assert http.get("/v1/models", headers={"x-large": "x" * 15_000}).status_code == 200
        assert http.get(f"/v1/models/{'x' * 16_400}").status_code == 431


def test_an_unexpected_fault_is_a_500_that_tells_nothing(server, monkeypatch, caplog):
    def fail(*arguments, **named):
        raise RuntimeError("a secret")

    monkeypatch.setattr(server.llm, "encode", fail)
    with server.http() as http:
        answer = http.post(CHAT, json=BODY[CHAT])
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]


def test_the_clients_own_request_id_comes_back_where_it_is_harmless(server):
    with server.http() as http:
        assert http.get("/version", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        assert http.get("/version", headers={"x-request-id": "a b"}).headers["x-request-id"].startswith("req-")
