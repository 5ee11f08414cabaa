"""The nested drafter: the same text at any threshold, its exits' own choices, skipped layers that catch up."""

from __future__ import annotations

import itertools
import shutil

import pytest
import torch

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, NestedDrafter, SuffixDrafter
from covey.drafters.depths import Depths
from covey.errors import CoveyError, UnsupportedError
from covey.model.load import load
from covey.model.nested import Calibration, NestedDraft, add_calibration
from covey.model.target import LocalTarget
from covey.types import Draft, Round
from tests.drafters.generating import KIND, PROMPTS, generate
from tests.exactness.drafters import RandomDepths, save_untrained


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module")
def folder(target, tmp_path_factory):
    """An untrained draft: the target's layers, some tokens unknown to it."""
    return save_untrained(tmp_path_factory.mktemp("nested"), target, (1, 2, 4))


@pytest.fixture(scope="module")
def self_folder(target, tmp_path_factory):
    """An untrained draft that reads the target's hidden states."""
    return save_untrained(tmp_path_factory.mktemp("self"), target, (1, 2, 3), kind="self")


@pytest.fixture
def either(request, folder, self_folder):
    return {"standalone": folder, "self": self_folder}[request.param]


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.8, "seed": 3}, {"temperature": 1.2, "top_p": 0.8, "repetition_penalty": 1.3, "seed": 1}]
)
@pytest.mark.parametrize("thresholds", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (1.0, 0.0), "random"])
@pytest.mark.parametrize("either", ["standalone", "self"], indirect=True)
def test_the_text_is_plains_at_any_threshold(either, thresholds, options, target):
    params = SamplingParams(max_tokens=40, ignore_eos=True, **options)
    plain, _ = generate(target, [], params)
    drafter = RandomDepths(either, **KIND) if thresholds == "random" else NestedDrafter(either, thresholds=thresholds, **KIND)
    drafted, rounds = generate(target, [drafter], params)
    assert drafted == plain
    assert any(r.drafted for r in rounds)
    assert all(0 <= later <= earlier <= 1 for r in rounds for earlier, later in zip(r.survival, r.survival[1:], strict=False))


def test_the_last_exit_of_all_layers_is_the_target_but_for_unknown_tokens(target, folder):
    params = SamplingParams(max_tokens=40, ignore_eos=True)
    plain, rounds = generate(target, [NestedDrafter(folder, thresholds=(1.0, 1.0), **KIND)], params)
    for r in rounds:
        for drafted, committed in zip(r.drafted, r.tokens, strict=False):
            if drafted != committed:
                assert not 3 <= committed < 120
                break
    assert sum(r.accepted for r in rounds) > sum(map(len, plain)) / 3


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_exit_drafts_what_its_layers_say(number, target, folder):
    """Each drafted token is the whole draft's greedy choice at that exit, after the tokens before it."""
    whole = NestedDraft.load(folder, load(target, attention="sdpa", **KIND))
    thresholds = tuple(1.0 if i < number else 0.0 for i in range(2))
    text, checked = list(PROMPTS[0]), 0
    with LLM(target, drafters=[NestedDrafter(folder, thresholds=thresholds, **KIND)], controller="fixed", **KIND) as llm:
        rounds: list[Round] = []
        llm.observe(rounds.append)
        llm.generate(text, SamplingParams(max_tokens=20, ignore_eos=True))
    for r in rounds:
        for i, token in enumerate(r.drafted):
            with torch.inference_mode():
                hidden = whole.hidden_states(torch.tensor([text + list(r.drafted[:i])]))[number][0, -1]
                assert whole.tokens[whole.head(hidden).argmax()] == token
            checked += 1
        text += r.tokens
    assert checked > 10


@pytest.mark.parametrize("looks_back", [1000, 12])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_self_draft_reads_the_targets_hidden_states_and_then_its_own(number, looks_back, target, self_folder, monkeypatch):
    """Each drafted token is what the draft says, given what the target left before the draft began, and guesses from there on; of a long
    text it looks at the end alone."""
    monkeypatch.setattr("covey.drafters.nested._LOOKS_BACK", looks_back)
    base = load(target, attention="sdpa", **KIND)
    whole = NestedDraft.load(self_folder, base)
    thresholds = tuple(1.0 if i < number else 0.0 for i in range(2))
    text, checked = list(PROMPTS[2]), 0
    with LLM(
        target, drafters=[NestedDrafter(self_folder, thresholds=thresholds, **KIND)], prefill_chunk=16, controller="fixed", **KIND
    ) as llm:
        rounds: list[Round] = []
        llm.observe(rounds.append)
        llm.generate(text, SamplingParams(max_tokens=20, ignore_eos=True))
    assert not next(r for r in rounds if r.tokens).drafted  # the end of the prompt is not yet read by then
    first = None
    for r in rounds:
        if r.drafted and first is None:
            first = max(0, len(text) - 1 - looks_back)
        with torch.inference_mode():
            left = base.model.model(torch.tensor([text])).last_hidden_state
            gift = torch.nn.functional.pad(left[:, :-1], (0, 0, 1, 0))
            for i, token in enumerate(r.drafted):
                seen = torch.tensor([text + list(r.drafted[:i])])[:, first:]
                hidden = whole.hidden_states(seen, gift=gift[:, first:])[number][:, -1:]
                assert whole.tokens[whole.head(hidden[0, 0]).argmax()] == token
                gift = torch.cat([gift, hidden], 1)
                checked += 1
        text += r.tokens
    assert checked > 10


def test_the_controller_knows_how_far_it_looks_back(target, self_folder):
    with LLM(target, drafters=[NestedDrafter(self_folder, **KIND)], **KIND) as llm:
        assert llm.served().engine.controller.costs.drafter.looks_back == 64


def test_a_long_text_is_read_when_a_guess_is_asked_for_and_not_before(target, self_folder, monkeypatch):
    """In a collective a member may be opened and never asked. Asked late, it says what it would have said had it read all along."""

    class Late(NestedDrafter):
        def propose(self, sequences, lengths):
            before = {s.id: self.cached(s) for s in sequences}
            for sequence, length in zip(sequences, lengths, strict=True):
                self.open(sequence, length)
                assert self.cached(sequence) == before[sequence.id]
                assert self.unread(sequence) == len(sequence.tokens) - before[sequence.id] - 1
            if sequences[0].num_output < 20:
                return [Draft.empty(sequence) for sequence in sequences]
            return super().propose(sequences, lengths)

    monkeypatch.setattr("covey.drafters.nested._LOOKS_BACK", 1000)
    said = []
    for kind in (NestedDrafter, Late):
        with LLM(
            target,
            drafters=[kind(self_folder, **KIND)],
            max_model_len=256,
            num_speculative_tokens=2,
            controller="fixed",
            branches="off",
            **KIND,
        ) as llm:
            rounds = []
            llm.observe(rounds.append)
            llm.generate([9] * 200, SamplingParams(max_tokens=40, ignore_eos=True))
        said.append({r.start: r.drafted for r in rounds if r.drafted and r.start > 225})
    both = said[0].keys() & said[1].keys()
    assert both
    assert all(said[0][start] == said[1][start] for start in both)


class Forgetful(NestedDrafter):
    """Is not given every other hidden state."""

    def receive(self, sequence, start, hidden):
        if (start // 3) % 2:
            super().receive(sequence, start, hidden)


def test_hidden_states_that_were_not_given_are_done_without(target, self_folder):
    params = SamplingParams(max_tokens=40, ignore_eos=True)
    drafted, rounds = generate(target, [Forgetful(self_folder, **KIND)], params)
    assert drafted == generate(target, [], params)[0]
    assert any(r.drafted for r in rounds)


def test_a_self_draft_serves_the_target_that_it_reads_alone(target, self_folder, tiny):
    with pytest.raises(UnsupportedError, match="serves one target only"):
        LLM(targets={"a": target, "b": target}, drafters=[NestedDrafter(self_folder, **KIND)], **KIND)

    class Mute(LocalTarget):
        def __init__(self) -> None:
            super().__init__(load(target, **KIND))
            self.hidden_size = 0

    with pytest.raises(UnsupportedError, match="gives no hidden states; use a standalone draft"):
        LLM(Mute(), drafters=[NestedDrafter(self_folder, **KIND)], **KIND)


def test_confidence_is_learned_from_what_came_of_choices(target, folder):
    drafter = NestedDrafter(folder, thresholds=(0.0, 0.0), **KIND)
    _, rounds = generate(target, [drafter], SamplingParams(max_tokens=60, ignore_eos=True))
    trials = sum(r.accepted + (r.accepted < len(r.drafted)) for r in rounds)
    table = drafter.confidences[target].table
    assert sum(table.trials) == pytest.approx(trials, rel=0.1)  # old trials weigh a little less
    assert sum(table.hits) == pytest.approx(sum(r.accepted for r in rounds), rel=0.1)


def test_what_was_calibrated_is_used_for_that_target_alone(target, folder, tmp_path):
    calibrated = tmp_path / "d"
    shutil.copytree(folder, calibrated)
    weights = ((0.1, 0.9, 0.0, 0.0),) * 3
    add_calibration(calibrated, target, Calibration((0.25, 0.5), 2, weights))
    add_calibration(calibrated, "other", Calibration((1.0, 0.0), 4, weights))
    drafter = NestedDrafter(calibrated, **KIND)
    _, rounds = generate(target, [drafter], SamplingParams(max_tokens=12, ignore_eos=True))
    assert drafter.calibrations == {target: Calibration((0.25, 0.5), 2, weights)}
    assert max(len(r.drafted) for r in rounds) == 2 < max(r.planned for r in rounds)
    uncalibrated = NestedDrafter(folder, **KIND)
    generate(target, [uncalibrated], SamplingParams(max_tokens=4))
    assert uncalibrated.calibrations[target].thresholds == (1.0, 1.0)


def test_what_does_not_fit_is_refused(target, folder, tiny):
    with pytest.raises(CoveyError, match=r"thresholds=\(0.5,\): give 2 numbers"):
        NestedDrafter(folder, thresholds=(0.5,), **KIND)
    with pytest.raises(CoveyError, match="give 2 numbers from 0 to 1"):
        NestedDrafter(folder, thresholds=(0.5, 1.5), **KIND)
    with pytest.raises(CoveyError, match="no config.json of a nested draft"):
        LLM(target, drafters=["nested:nowhere"], **KIND)
    with pytest.raises(UnsupportedError, match="another tokenizer"):
        LLM("toy", drafters=[NestedDrafter(folder, **KIND)])
    with pytest.raises(UnsupportedError, match="input embedding"):
        NestedDrafter(folder, base=str(tiny("llama", seed=5)), **KIND)


def test_past_its_context_limit_it_stops_drafting_and_the_request_goes_on(target, folder):
    drafter = NestedDrafter(folder, thresholds=(0.0, 1.0), **KIND)
    drafter.max_position = 80
    params = SamplingParams(max_tokens=40, ignore_eos=True)
    drafted, rounds = generate(target, [drafter], params)
    assert drafted == generate(target, [], params)[0]
    assert max(r.start + len(r.drafted) for r in rounds if r.drafted) <= 81


def test_rows_come_back(target, folder):
    drafter = NestedDrafter(folder, **KIND)
    with LLM(target, drafters=[drafter], controller="fixed", **KIND) as llm:
        llm.generate(PROMPTS, SamplingParams(max_tokens=10), progress=False)
        llm.served().engine.scheduler.ended.clear()
        assert drafter.runner.rows.num_free == drafter.runner.rows.num_blocks
        assert not drafter._depths


@pytest.mark.parametrize("pipeline", ["serial", "overlapped"])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("company", ["alone", "rested"])
def test_beginning_anew_again_and_again_changes_no_text(company, temperature, pipeline, target, self_folder, monkeypatch):
    """In company it rests now and then, while others draft, and has more to read than it looks back."""
    monkeypatch.setattr("covey.drafters.nested._LOOKS_BACK", 3)
    begun, begin = [], Depths.begin

    def noted(depths: Depths, origin: int) -> None:
        begun.append(origin)
        begin(depths, origin)

    monkeypatch.setattr(Depths, "begin", noted)
    prompts, params = (
        [list(PROMPTS[2]), [9] * 40, [5, 6, 7, 8] * 6],
        SamplingParams(max_tokens=40, ignore_eos=True, temperature=temperature, seed=3),
    )
    common = {"max_num_seqs": 2, "prefill_chunk": 16, **KIND}
    with LLM(target, drafters=[], **common) as llm:
        plain = [done.token_ids for done in llm.generate(prompts, params, progress=False)]
    own = NestedDrafter(self_folder, **KIND)
    drafter = own if company == "alone" else CollectiveDrafter([SuffixDrafter(), own], min_survival=0.0, thrifty=False)
    with LLM(target, drafters=[drafter], controller="fixed", num_speculative_tokens=3, pipeline=pipeline, **common) as llm:
        if company == "rested":
            seen = itertools.count()
            llm.observe(lambda happened: setattr(drafter.members[1], "takes_part", next(seen) % 16 < 4))
        assert [done.token_ids for done in llm.generate(prompts, params, progress=False)] == plain
    assert sum(origin > 0 for origin in begun) >= len(prompts)
