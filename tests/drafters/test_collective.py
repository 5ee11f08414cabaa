"""The collective: the same text whoever votes, every round tells who was asked, and nothing is left behind."""

from __future__ import annotations

import itertools
import json

import pytest

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, NestedDrafter, SuffixDrafter
from covey.drafters.collective import VOTES
from covey.errors import CoveyError, UnsupportedError
from covey.types import Round
from covey.weights import POLICIES
from tests.drafters.generating import KIND, PROMPTS, generate
from tests.drafters.members import asked_of
from tests.exactness.drafters import RandomDepths, ScriptedDrafter, save_untrained

QUICK = {*((3, policy) for policy in POLICIES), (1, "confidence"), (2, "log_odds"), (5, "confidence")}
COMPANIES = [
    pytest.param(count, policy, marks=() if (count, policy) in QUICK else pytest.mark.slow)
    for count, policy in itertools.product((1, 2, 3, 5), POLICIES)
]


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module")
def folders(target, tmp_path_factory):
    place = tmp_path_factory.mktemp("drafts")
    for kind in ("standalone", "self"):
        save_untrained(place / kind, target, (1, 2), kind=kind)
    return place


@pytest.fixture(scope="module")
def members(target, folders, tiny):
    """Makers of members, cheap and dear, able to be led and not."""
    texts = dict(zip(map(tuple, PROMPTS), generate(target, [], SamplingParams(max_tokens=40, ignore_eos=True))[0], strict=True))
    return {
        "suffix": lambda: SuffixDrafter(),
        "self": lambda: RandomDepths(folders / "self", **KIND),
        "whole": lambda: ScriptedDrafter(texts, wrong_every=3),
        "model": lambda: ModelDrafter(str(tiny("llama", seed=1, layers=1)), **KIND),
        "standalone": lambda: RandomDepths(folders / "standalone", **KIND),
    }


@pytest.mark.parametrize("options", [{}, {"temperature": 0.9, "seed": 3, "repetition_penalty": 1.2}], ids=["greedy", "sampled"])
@pytest.mark.parametrize("vote", VOTES)
@pytest.mark.parametrize(("count", "weights"), COMPANIES)
def test_the_text_is_plains_whoever_votes(count, weights, vote, options, target, members):
    params = SamplingParams(max_tokens=40, ignore_eos=True, **options)
    chosen = [make() for make in list(members.values())[:count]]
    drafted, rounds = generate(target, [CollectiveDrafter(chosen, vote=vote, weights=weights, min_survival=0.0)], params)
    assert drafted == generate(target, [], params)[0]
    assert any(r.accepted for r in rounds)
    names = {member.name for member in chosen}
    for r in rounds:
        assert len(r.votes) == len(r.drafted) <= r.planned  # as many tokens as one draft has, however many voted
        assert all(set(voters) <= names and voters for voters in r.votes)
        assert all(0 <= later <= earlier <= 1 for earlier, later in itertools.pairwise((1.0, *r.survival)))


def test_several_names_are_a_collective(target):
    with LLM(target, drafters=["suffix", f"model:{target}"], controller="fixed", **KIND) as llm:
        (drafter,) = llm.drafters
        assert isinstance(drafter, CollectiveDrafter)
        assert drafter.name == f"suffix+model:{target}"
        assert llm.memory_plan.bytes_per_token[drafter.name] == sum(m.drafter.bytes_per_token for m in drafter.members)


def test_who_was_asked_and_who_rested_stands_in_every_round(target, members):
    chosen = [make() for make in list(members.values())[:3]]
    _, rounds = generate(target, [CollectiveDrafter(chosen, vote="sequence")], SamplingParams(max_tokens=40, ignore_eos=True))
    names = [member.name for member in chosen]
    told = [r for r in rounds if r.members]
    assert told
    assert all(list(asked_of(r)) == names and any(asked_of(r).values()) for r in told)
    assert all(Round.from_dict(json.loads(json.dumps(r.to_dict()))) == r for r in rounds)


@pytest.mark.parametrize("vote", VOTES)
def test_a_request_may_name_who_drafts_for_it(vote, target, members):
    """Two at a time, of which one names a member: what the others guess it is not for."""
    params = [
        SamplingParams(max_tokens=30, ignore_eos=True, speculation=asked) for asked in ({"drafters": ["suffix"]}, {}, {"drafters": []})
    ]
    chosen = [members[name]() for name in ("suffix", "self", "whole")]
    collective = CollectiveDrafter(chosen, vote=vote, min_survival=0.0, thrifty=False)
    with LLM(target, drafters=[collective], num_speculative_tokens=4, controller="fixed", **KIND) as llm:
        rounds = []
        llm.observe(rounds.append)
        prompts = [PROMPTS[0]] * 3
        done = llm.generate(prompts, params, progress=False)
        assert len({tuple(c.token_ids) for c in done}) == 1
        by_request = [[r for r in rounds if r.request_id == c.request_id and r.tokens] for c in done]
        assert {name for r in by_request[0] for votes in r.votes for name in votes} == {"suffix"}
        assert all(asked_of(r)[m.name] == 0 for r in by_request[0] if r.members for m in chosen[1:])
        assert all(any(asked_of(r)[m.name] for r in by_request[1] if r.members) for m in chosen)
        assert not any(r.planned for r in by_request[2])
        with pytest.raises(ValueError, match=r"speculation=.* with some of suffix, .*, or none"):
            llm.generate(PROMPTS[0], SamplingParams(speculation={"drafters": ["nobody"]}))


def test_a_member_that_rests_gives_back_its_rows(target, tiny):
    class Fails(ModelDrafter):
        def guess(self, growing):
            raise RuntimeError("deliberate")

    fails = Fails(str(tiny("llama", seed=1, layers=1)), **KIND)
    with LLM(target, drafters=[fails, SuffixDrafter()], max_num_seqs=3, controller="fixed", **KIND) as llm:
        llm.generate(PROMPTS, SamplingParams(max_tokens=30, ignore_eos=True), progress=False)
        assert llm.drafters[0].members[0].rests
        llm.served().engine.scheduler.ended.clear()
        assert fails.runner.rows.num_free == fails.runner.rows.num_blocks


def test_what_cannot_be_a_collective_is_refused(target, tiny):
    one = SuffixDrafter()
    with pytest.raises(CoveyError, match="members=.*: give 1 to 8 drafters, each another object"):
        CollectiveDrafter([one, one])
    with pytest.raises(CoveyError, match="vote='show of hands': vote must be one of token, mixture, sequence"):
        CollectiveDrafter([one], vote="show of hands")
    with pytest.raises(CoveyError, match="weights='heavy': weights must be one of uniform"):
        CollectiveDrafter([one], weights="heavy")
    with pytest.raises(UnsupportedError, match="drafter 'model:.*' has another tokenizer"):
        LLM("toy", drafters=[CollectiveDrafter([one, ModelDrafter(target, **KIND)])])


def test_a_collective_serves_several_targets_and_nothing_is_left(target, tiny, folders):
    targets = {"a": target, "b": str(tiny("llama", seed=1))}
    drafter = CollectiveDrafter([SuffixDrafter(), NestedDrafter(folders / "standalone", **KIND)])
    params = SamplingParams(max_tokens=20, ignore_eos=True)
    with LLM(targets=targets, drafters=[drafter], controller="fixed", **KIND) as llm:
        done = llm.generate(PROMPTS * 2, params, model=["a"] * 4 + ["b"] * 4, progress=False)
        for name in targets:
            llm.served(name).engine.scheduler.ended.clear()
        assert not drafter.ledger.standings
        nested = drafter.members[1].drafter
        assert nested.runner.rows.num_free == nested.runner.rows.num_blocks
    for name, texts in (("a", done[:4]), ("b", done[4:])):
        with LLM(targets[name], drafters=[], **KIND) as llm:
            assert [c.token_ids for c in texts] == [c.token_ids for c in llm.generate(PROMPTS, params, progress=False)]


def test_it_looks_back_as_far_as_the_member_that_looks_furthest(folders):
    standalone, drawn = (NestedDrafter(folders / kind, **KIND) for kind in ("standalone", "self"))
    assert (standalone.looks_back, drawn.looks_back, SuffixDrafter().looks_back) == (None, 64, 0)
    assert CollectiveDrafter([SuffixDrafter(), drawn]).looks_back == 64
    assert CollectiveDrafter([SuffixDrafter(), drawn, standalone]).looks_back is None
