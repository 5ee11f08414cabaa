"""How a prompt becomes what the engine runs: the kind of work that records are kept by."""

from __future__ import annotations

import json

import pytest

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, SuffixDrafter
from covey.engine.served import kind_of_work
from covey.errors import CoveyError

SYSTEM = {"role": "system", "content": "You answer in verse, for ACME."}
USER = {"role": "user", "content": "the birds"}


def test_a_label_goes_before_a_system_prompt_and_both_before_nothing():
    labelled, plain = SamplingParams(label="code"), SamplingParams()
    assert kind_of_work([SYSTEM, USER], labelled) == kind_of_work("the birds", labelled) == "code"
    kind = kind_of_work([SYSTEM, USER], plain)
    assert kind == kind_of_work([SYSTEM, {"role": "user", "content": "another"}], plain)
    assert kind != kind_of_work([{**SYSTEM, "content": "You answer in prose."}, USER], plain)
    for prompt in ("the birds", [5, 6], [USER], [USER, SYSTEM]):
        assert kind_of_work(prompt, plain) == ""


@pytest.mark.parametrize("way", ["generate", "stream"])
def test_requests_of_one_system_prompt_share_a_prior_and_the_prompt_is_not_kept(way, tmp_path):
    drafter = CollectiveDrafter([SuffixDrafter()], state=tmp_path / "state.json")
    params = SamplingParams(max_tokens=30)
    kind = kind_of_work([SYSTEM, USER], params)
    with LLM("toy", drafters=[drafter], controller="fixed", num_speculative_tokens=4) as llm:
        for prompt in ([SYSTEM, USER], [SYSTEM, USER], [USER]):
            llm.generate(prompt, params) if way == "generate" else list(llm.stream(prompt, params))
    kept = json.loads((tmp_path / "state.json").read_text())
    kinds = [(target, label) for target, label, _ in kept["kinds"]]
    assert sorted(kinds) == [("toy", ""), ("toy", kind)]
    trials = {label: rates[0][1] for _, label, rates in kept["kinds"]}
    assert 0 < trials[kind] < trials[""]
    assert "ACME" not in (tmp_path / "state.json").read_text()


def test_a_state_file_is_of_one_collective(tmp_path):
    place = tmp_path / "state.json"
    kept = {"collective_state": place, "controller": "fixed"}
    for _ in range(2):
        with LLM("toy", drafters=["suffix", "grammar"], **kept) as llm:
            llm.generate("the birds", SamplingParams(max_tokens=8))
    assert json.loads(place.read_text())["members"] == ["suffix", "grammar"]
    for drafters in (["suffix"], [], [CollectiveDrafter([SuffixDrafter()])]):
        with pytest.raises(CoveyError, match="collective_state=.*it is for several drafters, by name; leave it out, or give"):
            LLM("toy", drafters=drafters, **kept)
    place.write_text("{}")
    with pytest.raises(CoveyError, match="state file .* does not hold the records of suffix, grammar"):
        LLM("toy", drafters=["suffix", "grammar"], **kept)
