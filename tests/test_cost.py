"""Costs: fitted to samples, monotone, refreshed by what steps take."""

from __future__ import annotations

import numpy
import pytest

from covey.cost import Costs, DraftCost, Drafting, DraftSample, PassCost, PassSample


def staircase(tokens: int, reach: int) -> float:
    return 0.02 + 0.01 * (tokens // 8) + 1e-6 * reach


SAMPLES = [PassSample(t, reach, staircase(t, reach)) for t in (1, 2, 4, 8, 16, 32) for reach in (64 * t, 1024 * t)]


def test_a_fit_gives_back_what_was_measured() -> None:
    cost = PassCost.fit(SAMPLES)
    assert cost.per_reach == pytest.approx(1e-6)
    for sample in SAMPLES:
        assert float(cost.seconds(sample.tokens, sample.reach)) == pytest.approx(sample.seconds)
    assert cost.seconds(numpy.array([1, 8])).shape == (2,)


def test_one_number_of_tokens_costs_what_it_does_among_many() -> None:
    cost = PassCost.fit(SAMPLES)
    cost.observe(PassSample(7, 700, 0.05))  # drift, and places of their own
    sizes = [1, 1.5, 2, 7, 8, 33, 64, 4096, 9000]
    assert [cost.at(size, 100 * size) for size in sizes] == pytest.approx(cost.seconds(sizes, 100 * numpy.array(sizes)).tolist())


def by_sequences(tokens: int, sequences: int) -> float:
    return 0.03 + 0.001 * tokens + 0.002 * sequences


def test_a_sequence_more_is_dearer_than_a_token_more_of_one_that_is_there() -> None:
    cells = [(count, 1 + length) for count in (1, 2, 4, 8, 16) for length in (0, 1, 3)]
    cost = PassCost.fit([PassSample(n * each, 64 * n * each, by_sequences(n * each, n), n) for n, each in cells])
    assert cost.per_sequence == pytest.approx(0.002, rel=0.01)
    assert cost.at(20, sequences=16) - cost.at(16, sequences=16) == pytest.approx(0.004, rel=0.01)
    assert cost.at(17, sequences=17) - cost.at(16, sequences=16) == pytest.approx(0.003, rel=0.01)
    for _ in range(40):  # what is learned while serving keeps them apart
        cost.observe(PassSample(16, 0, 2 * by_sequences(16, 16), 16))
    assert cost.at(16, sequences=16) == pytest.approx(2 * by_sequences(16, 16), rel=0.05)
    assert cost.at(16, sequences=4) < 1.7 * by_sequences(16, 16)


def test_what_was_measured_before_sequences_were_counted_is_still_read() -> None:
    held = PassCost.fit(SAMPLES)
    old = {name: value for name, value in Costs(held).to_dict().items() if name != "seconds_per_sequence"}
    assert Costs.from_dict(old).target.at(8, 64, sequences=4) == pytest.approx(held.at(8, 64))


def test_beyond_the_largest_measured_the_slope_goes_on() -> None:
    cost = PassCost.fit(SAMPLES)
    assert float(cost.seconds(64)) == pytest.approx(0.02 + 0.01 * 8, rel=0.05)


def test_noise_never_makes_more_tokens_cheaper() -> None:
    cost = PassCost.fit([PassSample(t, 0, s) for t, s in ((1, 0.05), (2, 0.03), (4, 0.04), (8, 0.02))])
    seconds = cost.seconds(numpy.arange(1, 20))
    assert (numpy.diff(seconds) >= 0).all()
    cost.observe(PassSample(1, 0, 10.0))
    assert (numpy.diff(cost.seconds(numpy.arange(1, 20))) >= 0).all()


def test_without_samples_there_is_a_guess_that_learns() -> None:
    cost = PassCost.fit([])
    for _ in range(60):
        cost.observe(PassSample(4, 0, 0.0005))
    assert float(cost.seconds(4)) == pytest.approx(0.0005, rel=0.05)


def test_a_busier_machine_is_followed_at_sizes_that_were_not_seen() -> None:
    cost = PassCost.fit(SAMPLES)
    before = float(cost.seconds(32))
    for _ in range(40):
        for tokens in (1, 2, 4):
            cost.observe(PassSample(tokens, 0, 2 * staircase(tokens, 0)))
    assert float(cost.seconds(2)) == pytest.approx(2 * staircase(2, 0), rel=0.05)
    assert float(cost.seconds(32)) > 1.5 * before


def test_one_hiccup_is_no_trend() -> None:
    cost = PassCost.fit(SAMPLES)
    cost.observe(PassSample(1, 64, 5.0))
    assert float(cost.seconds(1, 64)) < 1.25 * staircase(1, 64)


def drafting(work: Drafting) -> float:
    return 0.002 + 0.001 * work.steps + 0.0002 * work.tokens + 0.0005 * work.sequences + 0.00001 * work.unread


WORKS = [Drafting(k, k * n, n, u) for k in (1, 2, 4, 8) for n in (1, 3, 8) for u in (n, 50 * n)]


def test_draft_costs_are_found() -> None:
    cost = DraftCost(DraftSample(work, drafting(work)) for work in WORKS)
    for work in WORKS:
        assert cost.seconds(work) == pytest.approx(drafting(work), rel=0.1)
    assert cost.seconds(Drafting(0, 0, 0)) == 0


def test_a_drafter_that_turns_slow_is_found_out_at_once() -> None:
    cost = DraftCost(DraftSample(work, drafting(work)) for work in WORKS)
    for _ in range(40):
        cost.observe(DraftSample(Drafting(4, 4, 1, 1), 0.2))
    assert cost.seconds(Drafting(4, 4, 1, 1)) > 0.1
    fresh = DraftCost()
    assert fresh.seconds(Drafting(1, 1, 1)) == 0
    fresh.observe(DraftSample(Drafting(1, 1, 1, 1), 0.3))
    assert fresh.seconds(Drafting(1, 1, 1, 1)) == pytest.approx(0.3, rel=0.05)


def test_costs_are_json_and_back() -> None:
    costs = Costs.fit([*SAMPLES, PassSample(16, 0, 0.07, 4)], [DraftSample(work, drafting(work)) for work in WORKS])
    costs.target.observe(PassSample(4, 0, 0.05))
    again = Costs.from_dict(costs.to_dict())
    tokens = numpy.array([1, 3, 9, 100])
    assert again.target.seconds(tokens, 50, 4) == pytest.approx(costs.target.seconds(tokens, 50, 4))
    assert again.target.per_sequence > 0
    assert again.drafter.seconds(WORKS[3]) == pytest.approx(costs.drafter.seconds(WORKS[3]))
    assert again.drafter.looks_back is None
    costs.drafter.looks_back = 64
    assert Costs.from_dict(costs.to_dict()).drafter.looks_back == 64
    broken = {**costs.to_dict(), "seconds": [0.0] * 23}
    with pytest.raises(ValueError, match="above 0"):
        Costs.from_dict(broken)


def test_what_a_drafter_reads_first_is_what_it_has_not_seen_as_far_as_it_looks_back() -> None:
    assert [DraftCost().to_read(unseen) for unseen in (-3, 5, 500)] == [0, 5, 500]
    assert [DraftCost(looks_back=64).to_read(unseen) for unseen in (-3, 5, 500)] == [0, 5, 64]


def test_what_is_ventured_is_kept_apart_from_what_drafting_costs() -> None:
    costs = Costs.fit(SAMPLES, [DraftSample(work, drafting(work), ventured=0.002 * work.sequences) for work in WORKS])
    for drafter in (costs.drafter, Costs.from_dict(costs.to_dict()).drafter):
        assert drafter.ventured == pytest.approx(0.002)
        assert all(drafter.seconds(work) == pytest.approx(drafting(work), rel=0.1) for work in WORKS)
    before = costs.to_dict()
    for sample in before["drafts"]:
        del sample["ventured"]
    assert Costs.from_dict(before).drafter.ventured == 0  # as a file has it that is older
