"""The goodput controller, with times that are made up: it drafts where that pays, as far as that pays, and comes back."""

from __future__ import annotations

import random
from dataclasses import replace
from dataclasses import replace as changed

import pytest

from covey.control import Controller, FixedLength, Goodput, Load, make_controller
from covey.cost import Costs, Drafting, DraftSample, PassSample
from covey.replay import Recorded, replay
from covey.sampling_params import SamplingParams
from covey.types import Branch, Draft, Round, Sequence
from tests.drafters.test_economy import ROUND


def costs(base: float = 0.02, token: float = 0.001, draft: float = 0.0005, read: float = 0.0, call: float = 0.0) -> Costs:
    passes = [PassSample(n, 0, base + token * n) for n in (1, 2, 4, 8, 16, 32, 64, 128)]
    works = [Drafting(k, k * n, n, u) for k in (1, 2, 4, 8) for n in (1, 4, 16) for u in (n, 100 * n)]
    return Costs.fit(passes, [DraftSample(w, max(1e-9, call + draft * w.tokens + read * w.unread)) for w in works])


def texts(rate: float, count: int = 16, length: int = 80, sure: float | None = None, seed: int = 0) -> list[Recorded]:
    """Drafts of 8 tokens at every position, each token right with this probability, as the drafter says (or says `sure`)."""
    chooser = random.Random(seed)
    made = []
    for _ in range(count):
        tokens = tuple(chooser.randrange(1, 1000) for _ in range(length))
        drafts = {}
        for at in range(length):
            ahead = tokens[at : at + 8]
            guessed = tuple(token if chooser.random() < rate else 0 for token in ahead)
            said = rate if sure is None else sure
            drafts[at] = (guessed, tuple(said ** (i + 1) for i in range(len(ahead))))
        made.append(Recorded(20, tokens, drafts))
    return made


def best_fixed(work: list[Recorded], known: Costs, batch: int) -> tuple[int, float]:
    speeds = {k: replay(work, lambda _, k=k: FixedLength(k), known, batch).tokens_per_second for k in range(9)}
    best = max(speeds, key=lambda k: speeds[k])
    return best, speeds[best]


def goodput(own: Costs) -> Controller:
    return Goodput(own, 8)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("token", [0.00001, 0.001, 0.01])
def test_near_the_best_fixed_length_whatever_drafts_and_passes_cost(rate: float, batch: int, token: float) -> None:
    known, work = costs(token=token), texts(rate)
    _, best = best_fixed(work, known, batch)
    assert replay(work, goodput, known, batch).tokens_per_second > 0.93 * best


def test_a_liar_costs_next_to_nothing() -> None:
    """Random tokens, called certain."""
    known, work = costs(), texts(0.0, count=60, sure=0.999)
    plain = replay(work, lambda _: FixedLength(0), known, 4)
    adaptive = replay(work, goodput, known, 4)
    assert adaptive.tokens_per_second > 0.98 * plain.tokens_per_second


def test_a_liar_is_not_heard_where_tokens_of_a_pass_cost_nothing() -> None:
    """What a slot is thought to cost can be wrong, and nothing that is won by it is no reason."""
    reasons: list[str] = []
    replay(
        texts(0.0, count=60, sure=0.999),
        goodput,
        costs(token=0.0, draft=1e-6),
        1,
        observe=lambda rounds: reasons.extend(r.reason for r in rounds),
    )
    later = reasons[len(reasons) // 4 :]
    assert later.count("pays") < 0.01 * len(later)


@pytest.mark.parametrize("token", [0.0, 0.0005, 0.001, 0.002])
def test_checking_a_token_costs_the_tokens_that_come_in_the_time_of_its_place(token: float) -> None:
    """Which is less than what one more guess must bring: that is drafted, too, and may be wrong."""
    made: list[Goodput] = []
    told: list[tuple[float, float]] = []

    def make(own: Costs) -> Goodput:
        made.append(Goodput(own, 8))
        return made[0]

    ran = replay(texts(0.8), make, costs(token=token), 4, observe=lambda _: told.append((made[0].checking, made[0].floor or 0.0)))
    later = told[len(told) // 2 :]
    usual = sorted(checking for checking, _ in later)[len(later) // 2]
    assert usual == pytest.approx(token * ran.tokens_per_second, rel=0.15)
    assert all(checking < floor for checking, floor in later if floor)


def test_probes_of_a_liar_are_few_where_they_cost_nothing_by_all_that_is_known() -> None:
    sent: list[int] = []
    replay(
        texts(0.0, count=24, length=32, sure=1.0),
        goodput,
        costs(token=0.0, draft=1e-6),
        1,
        observe=lambda rounds: sent.extend(len(r.drafted) for r in rounds),
    )
    later = sent[len(sent) // 4 :]
    assert 0 < sum(later) < 0.5 * len(later)  # two tokens a probe, every fifth round; were they free, every other one


def test_a_slow_drafter_is_hardly_ever_asked() -> None:
    known, work = costs(draft=0.05), texts(0.6, count=40)
    plain = replay(work, lambda _: FixedLength(0), known, 1)
    assert replay(work, goodput, known, 1).tokens_per_second > 0.98 * plain.tokens_per_second


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_a_drafter_that_is_slow_to_answer_costs_next_to_nothing(batch: int) -> None:
    """Three passes for a proposal, however short, of drafts that are right every other time."""
    known, work = costs(call=0.06, token=0.004), texts(0.5, count=64)
    plain = replay(work, lambda _: FixedLength(0), known, batch)
    assert replay(work, goodput, known, batch).tokens_per_second > 0.97 * plain.tokens_per_second
    assert replay(work, lambda _: Goodput(Costs(), 8), known, batch).tokens_per_second > 0.96 * plain.tokens_per_second


def test_a_slow_drafter_that_is_worth_it_is_found_out() -> None:
    known, work = costs(call=0.06), texts(0.95, count=120)
    plain = replay(work, lambda _: FixedLength(0), known, 1)
    assert replay(work, goodput, known, 1).tokens_per_second > 1.2 * plain.tokens_per_second


def test_costs_need_not_be_known_beforehand() -> None:
    known, work = costs(token=0.01, draft=0.02), texts(0.5, count=40)
    plain = replay(work, lambda _: FixedLength(0), known, 4)
    assert replay(work, lambda _: Goodput(Costs(), 8), known, 4).tokens_per_second > 0.95 * plain.tokens_per_second


def test_mixed_drafts_are_trimmed_one_by_one() -> None:
    """Half of the texts are drafted well, half badly, and the drafter knows which: no fixed length is as good."""
    known = costs(token=0.002)
    work = [text for pair in zip(texts(0.95, 20), texts(0.1, 20, seed=1), strict=True) for text in pair]
    _, best = best_fixed(work, known, 8)
    assert replay(work, goodput, known, 8).tokens_per_second > 1.03 * best


def test_the_length_follows_the_load() -> None:
    known, work = costs(base=0.02, token=0.004), texts(0.6, count=60, length=60)
    run = replay(work, goodput, known, lambda step: 16 if 30 <= step < 60 else 1)
    alone = [length for batch, length in run.steps[10:30] if batch == 1]
    crowd = [length for batch, length in run.steps[34:60] if batch == 16]
    after = [length for batch, length in run.steps[64:84] if batch == 1]
    assert sum(crowd) / len(crowd) < 0.5 * sum(alone) / len(alone)
    assert sum(after) / len(after) > 0.7 * sum(alone) / len(alone)


def test_speculation_returns_when_it_pays_again() -> None:
    known = costs()
    bad, good = texts(0.0, count=30, sure=0.9), texts(0.9, count=120, sure=0.9, seed=1)
    run = replay(bad + good, goodput, known, 1)
    lengths = [length for _, length in run.steps]
    assert sum(lengths[200:2000]) / 1800 < 0.2
    assert sum(lengths[-300:]) / 300 > 2


def test_probes_take_a_hundredth_of_the_time() -> None:
    known, work = costs(), texts(0.0, count=60, sure=0.9)
    seen: list[Round] = []
    run = replay(work, goodput, known, 1, observe=seen.extend)
    late = seen[400:]
    assert sum(each.reason == "probe" for each in late) > 0
    plain = replay(work, lambda _: FixedLength(0), known, 1)
    assert run.seconds < 1.02 * plain.seconds


def test_what_was_asked_for_is_a_cap() -> None:
    controller = Goodput(costs(token=1e-6, draft=1e-6), 8)
    sequences = [
        Sequence(1, (5, 6), SamplingParams(max_tokens=100, speculation={"num_tokens": 2})),
        Sequence(2, (5, 6), SamplingParams(max_tokens=100, speculation={"num_tokens": 0})),
        Sequence(3, (5, 6), SamplingParams(max_tokens=2)),
        Sequence(4, (5, 6), SamplingParams(max_tokens=100)),
    ]
    lengths = [controller.plan([sequence], Load(1, 2, 1))[0] for sequence in sequences]
    assert lengths[0] <= 2
    assert lengths[1:3] == [0, 1]
    assert lengths[3] > 2


def test_a_branch_is_sent_where_it_is_likelier_than_the_next_token_and_believed_as_it_fares() -> None:
    controller = Goodput(costs(token=0.001, draft=1e-6), 8)
    text = Sequence(1, (5, 6), SamplingParams(max_tokens=100))
    draft = Draft(2, text.prefix_id, (7, 8, 9), (0.9, 0.1, 0.01), branches=(Branch(1, 4, 0.6),))
    assert controller.known.believed(draft, [0.9, 0.1, 0.01], text) == pytest.approx([0.9, 0.6, 0.1, 0.01], rel=0.2)
    controller.plan([text], Load(1, 2, 1))
    (cut,) = controller.trim([text], [draft], Load(1, 2, 1))
    sent = draft.cut(cut.length)
    assert len(sent) == len(sent.branches) == 1
    happened = replace(ROUND, sequence_id=1, drafted=(7,), survival=(0.9,), branches=sent.branches, accepted=1, tokens=(7, 3))
    for _ in range(60):
        controller.known.observe([happened], None)
    assert controller.known.believed(draft, [0.9, 0.1, 0.01], text)[1] < 0.3


def test_rounds_say_what_was_chosen_and_why() -> None:
    seen: list[Round] = []
    replay(texts(0.8), goodput, costs(), 2, observe=seen.extend)
    assert {"pays"} <= {each.reason for each in seen} <= {"pays", "does not pay", "nothing drafted", "probe"}
    paying = [each for each in seen if each.reason == "pays"]
    assert sum(each.gain for each in paying) == pytest.approx(sum(each.accepted for each in paying), rel=0.15)
    assert all(each.cost > 0 for each in paying)


def test_who_says_nothing_has_read_nothing() -> None:
    """A drafter that waits for the target's hidden states must not look as if it had read a long prompt in no time."""
    controller = Goodput(costs(read=0.00001), 8)
    sequence, load = Sequence(0, tuple(range(200)), SamplingParams(max_tokens=50)), Load(1, 200, 1)
    for draft, shown in ((Draft.empty(sequence), 0), (Draft(200, sequence.prefix_id, (5,), (0.9,)), 200)):
        assert controller.plan([sequence], load) > [0] and sequence.shown == 200
        controller.trim([sequence], [draft], load)
        assert sequence.shown == shown


def test_a_long_prompt_is_as_dear_as_far_as_the_drafter_looks_back() -> None:
    """Reading 2,000 tokens would take as long as forty passes, 20 of them half a pass."""
    planned = []
    for looks_back in (None, 20):
        known = costs(read=0.0005)
        known.drafter.looks_back = looks_back
        controller = Goodput(known, 8)
        sequence = Sequence(0, tuple(range(2000)), SamplingParams(max_tokens=50))
        planned.append(controller.plan([sequence], Load(1, 2000, 1))[0])
        fast = replay([replace(text, prompt_tokens=2000) for text in texts(0.8)], goodput, known, 4)
        slow = replay(texts(0.8), lambda _: FixedLength(0), known, 4)
        assert (fast.tokens_per_second > 1.3 * slow.tokens_per_second) == (looks_back is not None)
    assert planned[0] == 0 < planned[1]


def test_ended_sequences_are_forgotten() -> None:
    made: list[Goodput] = []

    def make(own: Costs) -> Controller:
        made.append(Goodput(own, 8))
        return made[0]

    replay(texts(0.5), make, costs(), 4)
    assert not made[0].known._drafted
    assert not made[0].known.trust._own


class Beside(Controller):
    """Another controller, told that drafting goes on beside passes, which slows them by so much a second."""

    def __init__(self, own: Controller, slowing: float) -> None:
        self._own, self._slowing = own, slowing

    @property
    def floor(self) -> float | None:  # type: ignore[override]
        return self._own.floor

    def plan(self, sequences, load):
        return self._own.plan(sequences, load)

    def trim(self, sequences, drafts, load):
        return self._own.trim(sequences, drafts, load)

    def observe(self, rounds: list[Round]) -> None:
        draft, verify = rounds[0].step_draft_seconds, rounds[0].step_verify_seconds
        both = min(draft, verify)
        beside = {"pipeline": "halves", "step_overlap_seconds": both, "step_beside_seconds": both}
        self._own.observe([changed(each, **beside, step_verify_seconds=verify + self._slowing * both) for each in rounds])

    def forget(self, sequence: Sequence) -> None:
        self._own.forget(sequence)


def speed_beside(work: list[Recorded], own: Controller, known: Costs, slowing: float) -> float:
    """Tokens a second where drafting goes on beside passes."""
    seen: list[list[Round]] = []
    replay(work, lambda _: Beside(own, slowing), known, 4, observe=seen.append)
    steps = [(each[0].step_draft_seconds, each[0].step_verify_seconds) for each in seen]
    seconds = sum(max(draft, verify) + slowing * min(draft, verify) for draft, verify in steps)
    return sum(len(each.tokens) for rounds in seen for each in rounds) / seconds


@pytest.mark.parametrize("slowing", [0.0, 0.5, 1.0])
def test_drafting_beside_passes_is_charged_what_it_delays(slowing: float) -> None:
    """A drafter that hardly pays where it is waited for, and does where it is not."""
    known, work = costs(draft=0.0025), texts(0.7, count=40)
    best = max(speed_beside(work, FixedLength(k), known, slowing) for k in (0, 2, 3, 4, 6, 8))
    honest = speed_beside(work, Goodput(costs(draft=0.0025), 8), known, slowing)
    assert honest > 0.95 * best
    if slowing == 0.0:
        plain = speed_beside(work, FixedLength(0), known, slowing)
        waited_for = replay(work, goodput, known, 4).tokens_per_second / replay(work, lambda _: FixedLength(0), known, 4).tokens_per_second
        assert honest / plain > 1.2 * waited_for


@pytest.mark.parametrize("slowing", [0.0, 0.5])
def test_passes_beside_drafting_do_not_make_plain_decoding_look_slow(slowing: float) -> None:
    own = costs(draft=0.001)
    speed_beside(texts(0.8, count=40), Goodput(own, 8), costs(draft=0.001), slowing)
    assert float(own.target.seconds(4)) == pytest.approx(float(costs().target.seconds(4)), rel=0.03)


@pytest.mark.parametrize("name", ["goodput", "smurfs", "heuristic", "confidence", "table", "fixed", "watch"])
def test_replays_are_the_same_every_time(name: str) -> None:
    work = texts(0.6)
    runs = [replay(work, lambda own: make_controller(name, 8, own), costs(), 4, jitter=0.1, seed=3) for _ in range(2)]
    assert runs[0] == runs[1]
