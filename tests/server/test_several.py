"""Several targets in one server: each answers by its name, with queue and metrics of its own."""

from __future__ import annotations

import pytest

from covey import LLM, SamplingParams
from covey.toy import ToyTarget
from tests.server.running import running
from tests.server.test_metrics import samples


def test_targets_answer_by_name_and_are_counted_apart():
    targets = {"large": ToyTarget(seed=1), "org/small": ToyTarget(seed=2)}
    with running(targets, drafters=[]) as server:
        client = server.openai()
        assert [model.id for model in client.models.list()] == ["large", "org/small"]
        assert client.models.retrieve("org/small").id == "org/small"
        texts = {
            name: client.completions.create(model=name, prompt="the birds", max_tokens=9 + at).choices[0].text
            for at, name in enumerate(targets)
        }
        with server.http() as http:
            assert http.post("/v1/completions", json={"prompt": "hi"}).json()["error"]["code"] == "model_not_found"
        series = samples(server)
    for at, (name, seed) in enumerate((("large", 1), ("org/small", 2))):
        with LLM(ToyTarget(seed=seed), drafters=[]) as llm:
            done = llm.generate("the birds", SamplingParams(max_tokens=9 + at))[0]
        assert texts[name] == done.text
        assert series["covey:generation_tokens_total", (("model_name", name),)] == len(done.token_ids)


def test_a_model_need_not_be_named_where_there_is_one(server):
    with server.http() as http:
        assert http.post("/v1/completions", json={"prompt": "hi", "max_tokens": 1}).json()["model"] == "toy"


@pytest.mark.parametrize(("path", "expected"), [("/health/live", {"status": "live"}), ("/health/ready", {"status": "ready"})])
def test_health(server, path, expected):
    with server.http() as http:
        assert http.get(path).json() == expected


def test_version(server):
    import covey

    with server.http() as http:
        assert http.get("/version").json() == {"version": covey.__version__}
