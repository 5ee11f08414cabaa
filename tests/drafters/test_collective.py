"""The collective: the same text whoever votes, everybody scored whoever won, and no member can do harm."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from covey import LLM, SamplingParams
from covey.drafters import CollectiveDrafter, ModelDrafter, NestedDrafter, SuffixDrafter
from covey.drafters.collective import VOTES
from covey.drafters.economy import kind_of
from covey.drafters.guesser import Growing, Guess, Guesser
from covey.drafters.records import Records
from covey.errors import CoveyError, UnsupportedError
from covey.types import Draft, Drafter, Round, Sequence
from covey.weights import POLICIES
from tests.drafters.test_economy import ROUND
from tests.exactness.drafters import RandomDepths, ScriptedDrafter, save_untrained

KIND = {"dtype": "float64", "device": "cpu"}
PROMPTS = [[5, 6, 7, 8, 5, 6, 7], [100, 3], [9] * 70, [44, 45, 46]]


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


def generate(target, drafters, params, **options):
    with LLM(
        target, drafters=drafters, num_speculative_tokens=4, max_num_seqs=3, prefill_chunk=16, controller="fixed", **KIND, **options
    ) as llm:
        rounds = []
        llm.observe(rounds.append)
        done = llm.generate(PROMPTS, params, progress=False)
        return [c.token_ids for c in done], rounds


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


class Says(Guesser):
    """Always guesses the same token, with the same estimate; notes what it was led along and what it was told."""

    def __init__(self, token: int, estimate: float = 0.5) -> None:
        super().__init__()
        self.name, self.token, self.estimate = f"says {token}", token, estimate
        self.seen: list[tuple[int, ...]] = []
        self.told: list[tuple[int, int]] = []

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        self.seen += [tuple(draft.tokens) for draft in growing]
        return [Guess(self.token, self.estimate, self.token) for _ in growing]

    def learn(self, sequence: Sequence, evidence: int, token: int) -> None:
        self.told.append((evidence, token))


class Whole(Drafter):
    """Drafts one sequence, and cannot be led."""

    def __init__(self, *tokens: int) -> None:
        self.name, self.tokens = f"whole {tokens}", tokens

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        return [
            Draft(len(s.tokens), s.prefix_id, self.tokens[:k], tuple(0.5**i for i in range(1, 1 + len(self.tokens[:k]))), self.name)
            for s, k in zip(sequences, lengths, strict=True)
        ]


def sequence(*tokens: int, id: int = 0) -> Sequence:
    return Sequence(id=id, prompt=tokens, params=SamplingParams(max_tokens=1000))


def propose(drafter: CollectiveDrafter, text: Sequence, length: int = 3) -> Draft:
    (draft,) = drafter.propose([text], [length])
    return draft


def asked_of(told: Draft | Round) -> dict[str, int]:
    return {member.name: member.asked for member in told.members}


def test_members_are_led_along_the_vote():
    members = [Says(7), Says(7), Says(8)]
    draft = propose(CollectiveDrafter(members, weights="uniform", min_survival=0.0), sequence(1, 2))
    assert draft.tokens == (7, 7, 7)
    assert draft.votes == (("says 7", "says 7"),) * 3
    assert members[2].seen == [(), (7,), (7, 7)]


def test_a_member_that_cannot_be_led_is_heard_while_the_vote_follows_it():
    collective = CollectiveDrafter([Says(7), Whole(7, 9, 9), Whole(8, 8, 8)], weights="uniform", min_survival=0.0)
    draft = propose(collective, sequence(1, 2))
    assert draft.tokens == (7, 7, 7)  # at the second token the vote is a tie, which the first member decides
    assert draft.votes == (("says 7", "whole (7, 9, 9)"), ("says 7",), ("says 7",))


def test_a_sequence_vote_takes_one_members_own_draft():
    collective = CollectiveDrafter([Whole(7, 1, 1), Whole(8, 2, 3), Whole(8, 2, 4)], vote="sequence", weights="uniform", min_survival=0.0)
    draft = propose(collective, sequence(1, 2))
    assert draft.tokens == (8, 2, 3)
    assert draft.votes == (("whole (8, 2, 3)", "whole (8, 2, 4)"),) * 2 + (("whole (8, 2, 3)",),)


@pytest.mark.parametrize("vote", VOTES)
def test_every_member_is_scored_up_to_the_first_wrong_token_of_the_vote(vote):
    """The text goes 7, 9: at the first position all are scored, at the second those that went on from 7."""
    collective = CollectiveDrafter([Whole(7, 7), Whole(8, 9), Whole(7, 9)], vote=vote, weights="log_odds", min_survival=0.0)
    text = sequence(1, 2)
    draft = propose(collective, text, 2)
    assert draft.tokens == (7, 7)
    text.commit([7, 9, 5])
    collective.commit(text, draft, 1)
    rates = collective.ledger.standings[0].rates
    assert rates.trials == pytest.approx([2, 1, 2], abs=0.1)  # old trials weigh a little less
    assert rates.of(2) > rates.of(0) > rates.of(1)


def test_a_guesser_learns_at_positions_where_it_lost():
    loser = Says(8)
    collective = CollectiveDrafter([Says(7), Says(7), loser], weights="uniform", min_survival=0.0)
    text = sequence(1, 2)
    draft = propose(collective, text, 3)
    text.commit([7, 8])
    collective.commit(text, draft, 1)
    assert loser.told == [(8, 7), (8, 8)]


def test_the_one_that_is_right_is_followed_soon():
    collective = CollectiveDrafter([Says(7), Says(7), Says(8)], min_survival=0.0)
    text = sequence(1, 2)
    rounds = 0
    while (draft := propose(collective, text, 2)).tokens[:1] != (8,):
        text.commit([8])
        collective.commit(text, draft, 0)
        rounds += 1
    assert 0 < rounds <= 8


@pytest.mark.parametrize(("weights", "heeded"), [("log_odds", "says 8"), ("uniform", "says 7")])
def test_kin_do_not_outvote_a_stranger_that_is_right_more_often(weights, heeded):
    kin, stranger = [Says(7, estimate=0.4) for _ in range(3)], Says(8, estimate=0.5)
    collective = CollectiveDrafter([*kin, stranger], weights=weights, min_survival=0.0)
    text = sequence(1, 2)
    for step in range(120):
        draft = propose(collective, text, 1)
        text.commit([8 if step % 2 else 7 if step % 8 == 0 else 5])  # the stranger is right in half, the kin in an eighth
        collective.commit(text, draft, 0)
    assert set(propose(collective, text, 1).votes[0]) == {heeded}


def test_a_draft_ends_where_it_is_unlikely_and_returns_when_it_would_succeed():
    collective = CollectiveDrafter([Says(7, estimate=0.6)], min_survival=0.3)
    text, lengths = sequence(1, 2), []
    for step in range(900):
        draft = propose(collective, text, 3)
        lengths.append(len(draft))
        text.commit([5] if 20 <= step < 300 else [*draft.tokens, 7])
        collective.commit(text, draft, 0)
    assert max(lengths[:20]) >= 2
    assert lengths[299] == 0
    assert lengths[-1] == 3


@pytest.mark.parametrize("vote", VOTES)
def test_a_dear_member_that_wins_nothing_is_rested_and_one_that_does_is_asked(vote):
    """Costs by a clock of our own: the second member takes a second a guess, a token is worth one or four."""
    now = [0.0]

    class Slow(Says):
        def guess(self, growing):
            now[0] += len(growing)
            return super().guess(growing)

    asked = {}
    for token in (7, 8):
        first, slow = Says(7, estimate=0.5), Slow(token)
        collective = CollectiveDrafter([first, slow], vote=vote, min_survival=0.0, clock=lambda: now[0])
        text = sequence(1, 2)
        for _ in range(300):
            before = len(slow.seen)
            draft = propose(collective, text, 1)
            assert asked_of(draft) == {"says 7": 1, f"says {token}": len(slow.seen) - before}
            text.commit([8])
            collective.commit(text, draft, int(draft.tokens == (8,)))
            seconds = 2.0 if token == 7 else 8.0
            collective.observe(replace(ROUND, step_verify_seconds=seconds, step_other_seconds=0.0))
        asked[token] = len(slow.seen)
        assert len(first.seen) == 300
    assert asked[7] < 60
    assert asked[8] > 250


@pytest.mark.parametrize("vote", VOTES)
def test_without_thrift_everybody_is_asked_everywhere(vote):
    slow = Says(7)
    collective = CollectiveDrafter([Says(7), slow], vote=vote, min_survival=0.0, thrifty=False)
    text = sequence(1, 2)
    for _ in range(100):
        collective.observe(replace(ROUND, step_verify_seconds=0.0, step_other_seconds=0.0))
        draft = propose(collective, text, 1)
        text.commit([8])
        collective.commit(text, draft, 0)
    assert len(slow.seen) == 100


def test_a_whole_draft_is_worth_the_tokens_that_it_wins():
    """The first drafts 7 9 9, the dear one 8 8 8 and is heavier; the text goes 8 8 5: two tokens won each time."""
    now = [0.0]

    class Slow(Whole):
        def propose(self, sequences, lengths):
            now[0] += 1.0
            return super().propose(sequences, lengths)

    members = [Whole(7, 9, 9), Slow(8, 8, 8)]
    options = {"weights": "log_odds", "min_survival": 0.0, "thrifty": False, "clock": lambda: now[0]}
    collective = CollectiveDrafter(members, vote="sequence", **options)
    text = sequence(1, 2)
    for _ in range(60):
        draft = propose(collective, text, 3)
        text.commit([8, 8, 5])
        collective.commit(text, draft, 2)
    assert collective.economy("").gain(1, kind_of(0.5)) > 1.5
    assert asked_of(draft) == {"whole (7, 9, 9)": 1, "whole (8, 8, 8)": 1}


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


def test_a_draft_tells_what_members_weigh_and_what_they_took():
    ticks = itertools.count()
    collective = CollectiveDrafter([Says(7), Says(7), Says(8)], weights="log_odds", min_survival=0.0, clock=lambda: float(next(ticks)))
    text = sequence(1, 2)
    for _ in range(10):
        draft = propose(collective, text, 2)
        text.commit([8])
        collective.commit(text, draft, 0)
    seven, _, eight = draft.members
    assert (seven.name, eight.name) == ("says 7", "says 8")
    assert eight.weight > seven.weight >= 0
    assert eight.spent == 2.0  # a second of this clock for each of two guesses


def test_records_are_kept_by_label_and_from_one_process_to_the_next(tmp_path):
    def made():
        return CollectiveDrafter([Says(7), Says(8)], weights="log_odds", min_survival=0.0, state=tmp_path / "state.json")

    first = made()
    for number, (label, token) in enumerate([("sevens", 7), ("eights", 8)] * 30):
        text = Sequence(id=number, prompt=(1, 2), params=SamplingParams(max_tokens=1000, label=label))
        draft = propose(first, text, 1)
        text.commit([token])
        first.commit(text, draft, int(draft.tokens == (token,)))
        first.stop(text)
    first.close()
    second = made()
    for label, token in (("sevens", 7), ("eights", 8)):
        text = Sequence(id=0, prompt=(1, 2), params=SamplingParams(max_tokens=1000, label=label))
        assert propose(second, text, 1).tokens == (token,)
        second.stop(text)
    assert second.records.of("", "") == pytest.approx([0.48, 0.48], abs=0.03)
    assert second.records.of("", "never seen") == pytest.approx(second.records.of("", ""))
    with pytest.raises(CoveyError, match=r"state=.*: it does not hold the records of says 9 \(it is of says 7, says 8\)"):
        CollectiveDrafter([Says(9)], state=tmp_path / "state.json")


def test_labels_without_end_are_forgotten():
    records = Records(("a",))
    for number in range(3000):
        records.record("t", f"label {number}", 0, True)
    assert len(records._rates) <= 1024
    assert records.of("t", "")[0] > 0.9


class Broken(Says):
    """Fails in one of its methods."""

    def __init__(self, what: str) -> None:
        super().__init__(9)
        self.what, self.calls = what, 0

    def __getattribute__(self, name):
        if name == super().__getattribute__("__dict__").get("what"):
            self.calls += 1
            raise RuntimeError("deliberate")
        return super().__getattribute__(name)


@pytest.mark.parametrize("what", ["guess", "start", "commit", "open"])
def test_a_member_that_fails_is_left_out_and_the_others_go_on(what):
    broken = Broken(what)
    collective = CollectiveDrafter([broken, Says(7)], min_survival=0.0)
    text = sequence(1, 2)
    for _ in range(8):
        collective.start(text)
        draft = propose(collective, text)
        assert draft.tokens[-1] in (7, 9)
        text.commit([7, 7])
        collective.commit(text, draft, 1)
        collective.stop(text)
    assert broken.calls == 3
    assert collective.members[0].rests


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
