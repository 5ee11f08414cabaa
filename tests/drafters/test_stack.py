"""Kin of a collective run as one stack: the same guesses as one by one, whoever of them takes part, and one pass for all."""

from __future__ import annotations

import pytest

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, NestedDrafter, SuffixDrafter
from covey.drafters.section import Kin, One
from tests.drafters.members import asked_of
from tests.exactness.drafters import save_specialist, save_untrained

KIND = {"dtype": "float64", "device": "cpu"}
PROMPTS = [[5, 6, 7, 8, 5, 6, 7], [100, 3], [9] * 70, [44, 45, 46]]
GREEDY = SamplingParams(max_tokens=16, ignore_eos=True)


class ByItself(NestedDrafter):
    """Is not put together with anybody."""

    kin = None


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module", params=["standalone", "self"])
def folders(request, target, tmp_path_factory):
    """A draft of two exits and two specialists that were made from it."""
    place = tmp_path_factory.mktemp(request.param)
    basis = save_untrained(place / "basis", target, (1, 2), kind=request.param)
    return [basis, *(save_specialist(place / name, basis, target, seed=i) for i, name in enumerate(("code", "finance")))]


def members(folders, kind=NestedDrafter):
    return [kind(folder, thresholds=(0.3 + 0.1 * i,), **KIND) for i, folder in enumerate(folders)]


def run(target, collective, params=GREEDY):
    options = {"num_speculative_tokens": 4, "max_num_seqs": 3, "prefill_chunk": 16, "controller": "fixed", "branches": "off"}
    with LLM(target, drafters=[collective], **options, **KIND) as llm:
        rounds = []
        llm.observe(rounds.append)
        texts = [c.token_ids for c in llm.generate(PROMPTS, params, progress=False)]
        llm.served().engine.scheduler.ended.clear()
        runners = {id(m.guesser.runner): m.guesser.runner for m in collective.members if isinstance(m.guesser, NestedDrafter)}
        assert all(runner.rows.num_free == runner.rows.num_blocks for runner in runners.values())
    return texts, rounds


def records_of(told):
    return {member.name: member.record for member in told.members}


def plain(target, params=GREEDY):
    with LLM(target, drafters=[], **KIND) as llm:
        return [c.token_ids for c in llm.generate(PROMPTS, params, progress=False)]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.9, "seed": 3, "repetition_penalty": 1.2}], ids=["greedy", "sampled"])
@pytest.mark.parametrize("vote", ["token", "mixture"])
def test_a_stack_guesses_what_its_members_guess_one_by_one(vote, options, target, folders):
    params = SamplingParams(max_tokens=16, ignore_eos=True, **options)
    said = []
    for kind in (NestedDrafter, ByItself):
        collective = CollectiveDrafter([SuffixDrafter(), *members(folders, kind)], vote=vote, min_survival=0.0, thrifty=False)
        texts, rounds = run(target, collective, params)
        assert texts == plain(target, params)
        first = min(r.sequence_id for r in rounds)
        told = ((r.sequence_id - first, r.start, r.proposed, r.votes, asked_of(r), r.survival, records_of(r)) for r in rounds)
        said.append(sorted(told, key=lambda each: each[:2]))
    for mine, theirs in zip(*said, strict=True):
        assert mine[:5] == theirs[:5]
        assert mine[5] == pytest.approx(theirs[5], rel=0.1)  # rounded otherwise, an estimate may fall into the next class
        assert mine[6] == pytest.approx(theirs[6])
    assert sum(len(voters) > 1 for each in said[0] for voters in each[3]) > 3


def test_a_guess_of_all_takes_the_passes_of_one(target, folders, monkeypatch):
    passes = []
    for count in (1, 3):
        collective = CollectiveDrafter(members(folders[:count]), min_survival=0.0, thrifty=False)
        runner = collective.members[0].guesser.runner
        taken = [0]

        def counted(*given, original=runner.run, taken=taken):
            taken[0] += 1
            return original(*given)

        monkeypatch.setattr(runner, "run", counted)
        for member in collective.members:
            member.guesser.given = (1.0,)  # all to the last exit: then all have the same way
        _, rounds = run(target, collective)
        passes.append(taken[0] / sum(max(asked_of(r).values(), default=0) for r in rounds))
    assert passes[1] == pytest.approx(passes[0], rel=0.2)


def test_who_is_not_kin_is_asked_by_itself(target, folders, tmp_path):
    other = save_untrained(tmp_path / "other", target, (1, 3), kind="standalone")
    collective = CollectiveDrafter([SuffixDrafter(), *members(folders), NestedDrafter(other, **KIND)])
    assert [type(section) for section in collective.voting.sections] == [One, Kin, One]
    assert collective.voting.sections[1].numbers == (1, 2, 3)
    assert run(target, collective)[0] == plain(target)


def test_in_a_sequence_vote_members_keep_their_merged_weights(folders):
    runners = [drafter.runner for drafter in members(folders)]
    collective = CollectiveDrafter(given := members(folders), vote="sequence")
    assert len({id(drafter.runner) for drafter in given}) == len(runners)
    collective.close()


def test_one_member_of_two_collectives_stays_in_its_first_stack(target, folders):
    one, two, three = members(folders)
    first, second = CollectiveDrafter([one, two]), CollectiveDrafter([one, three])
    assert one.runner is two.runner is not three.runner
    assert [type(section) for section in second.voting.sections] == [One, One]
    assert run(target, second)[0] == plain(target)
    first.close()


def test_a_request_may_leave_out_some_and_an_operator_others(target, folders):
    collective = CollectiveDrafter(members(folders), min_survival=0.0, thrifty=False)
    params = SamplingParams(max_tokens=16, ignore_eos=True, speculation={"drafters": ["nested:basis", "nested:finance"]})
    collective.members[0].takes_part = False
    texts, rounds = run(target, collective, params)
    assert texts == plain(target)
    asked = [asked_of(r) for r in rounds if r.drafted]
    assert asked and all(each["nested:finance"] and not each["nested:basis"] and not each["nested:code"] for each in asked)


@pytest.mark.parametrize("what", ["judge", "feed", "prepare"])
def test_one_that_fails_is_found_and_the_others_stay_together(what, target, folders, monkeypatch):
    collective = CollectiveDrafter(given := members(folders), min_survival=0.0, thrifty=False)

    def fails(*_):
        raise RuntimeError("deliberate")

    setattr(given[1], what, fails)
    asked_together = []
    stack, ask = given[0].stack, given[0].stack.ask
    monkeypatch.setattr(stack, "ask", lambda asked: asked_together.append([each.name for each, _ in asked]) or ask(asked))
    texts, rounds = run(target, collective)
    assert texts == plain(target)
    assert [member.rests for member in collective.members] == [False, True, False]
    late = [asked_of(r) for r in rounds if r.drafted][-3:]
    assert all(each["nested:basis"] and each["nested:finance"] and not each["nested:code"] for each in late)
    assert set(asked_together[-1]) == {"nested:basis", "nested:finance"}


def test_the_memory_plan_counts_common_weights_once_and_everybodys_rows(target, folders):
    apart = CollectiveDrafter(members(folders, ByItself))
    collective = CollectiveDrafter(members(folders))
    assert collective.bytes_per_token == apart.bytes_per_token
    assert apart.parameter_bytes > 2 * collective.parameter_bytes
    held = {id(weight): weight.nbytes for member in collective.members for weight in member.guesser.runner.draft.parameters()}
    assert collective.parameter_bytes == sum(held.values())
    for each in (apart, collective):
        each.close()
