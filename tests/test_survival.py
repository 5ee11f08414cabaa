"""Survival: estimates are corrected by how they came true, and outlooks remember how drafts turned out."""

from __future__ import annotations

import random

import numpy
import pytest

from covey.survival import Outlook, Trust, Turnout, calibration_error, conditionals, outlooks, reliability


def test_conditionals_of_a_survival() -> None:
    assert conditionals((0.5, 0.25, 0.25, 0.0, 0.0)) == [0.5, 0.5, 1.0, 0.0, 0.0]
    assert conditionals(()) == []


def test_a_drafter_is_taken_at_its_word_at_first() -> None:
    assert Trust().corrected((0.8, 0.4), 1) == pytest.approx([0.8, 0.4])


def test_a_boaster_is_found_out_for_every_sequence() -> None:
    trust = Trust()
    for _ in range(60):
        trust.record(1.0, hit=False, sequence_id=1)
    assert trust.of(1.0, 1) < 0.1
    assert trust.of(1.0, 2) < 0.2
    assert trust.of(0.5, 2) == pytest.approx(0.5)  # what it is less sure of is another matter


def test_the_word_of_one_that_is_never_right_is_worth_nothing_in_the_end() -> None:
    trust = Trust()
    for _ in range(1000):
        trust.record(1.0, hit=False, sequence_id=1)
    assert trust.of(1.0, 2) < 0.005


def test_a_word_that_cannot_be_reconciled_with_what_came_is_given_up_fast() -> None:
    liar, unlucky = Trust(), Trust()
    for _ in range(20):
        liar.record(0.999, hit=False, sequence_id=1)
    for _ in range(4):  # so much may happen to anybody who says one half
        unlucky.record(0.5, hit=False, sequence_id=1)
    assert liar.of(0.999, 2) < 0.02
    assert unlucky.of(0.5, 2) == pytest.approx(0.5 * 8 / 12, abs=0.02)


def test_a_modest_drafter_is_found_out_too() -> None:
    trust = Trust()
    for _ in range(200):
        trust.record(0.3, hit=True, sequence_id=1)
    assert trust.of(0.3, 2) > 0.85


def test_a_sequence_of_its_own_kind_is_followed_within_a_few_tokens() -> None:
    trust = Trust()
    chooser = random.Random(0)
    for _ in range(500):
        trust.record(0.55, hit=chooser.random() < 0.55, sequence_id=1)
    for _ in range(12):
        trust.record(0.55, hit=False, sequence_id=2)
    assert trust.of(0.55, 2) < 0.35
    trust.forget(2)
    assert trust.of(0.55, 2) > 0.45


def test_corrected_estimates_are_calibrated() -> None:
    """A drafter that is always too sure by a fifth: the expected calibration error falls under 0.05."""
    trust, chooser = Trust(), random.Random(1)
    off = []
    for number in range(4000):
        truth = chooser.random() * 0.8
        said, hit = truth / 0.8, chooser.random() < truth
        if number > 1000:
            off.append((trust.of(said, number // 40), hit))
        trust.record(said, hit, number // 40)
    bins = [[pair for pair in off if int(pair[0] * 10) == kind] for kind in range(10)]
    error = sum(abs(sum(p for p, _ in held) - sum(h for _, h in held)) for held in bins) / len(off)
    assert error < 0.05


def seen(drafts: list[tuple[float, ...]], asked: int, rate: float = 0.7) -> Outlook:
    outlook = Outlook(4)
    for survival in drafts:
        outlook.record(Turnout.of(survival, asked, rate, 4), memory=64)
    return outlook


def test_an_outlook_remembers_how_far_drafts_get() -> None:
    share, surviving = outlooks([seen([(0.9, 0.5)] * 100, asked=4)], Outlook.hopeful(4), weight=1.0)
    assert share[0].sum(1) == pytest.approx([1.0, 1.0, 0.02, 0.02], abs=0.02)
    assert float(surviving[0, 0].sum()) == pytest.approx(0.9, abs=0.02)


def test_a_draft_that_was_cut_short_is_supposed_to_go_on() -> None:
    _, surviving = outlooks([seen([(0.9,)] * 50, asked=1, rate=0.5)], Outlook.hopeful(4), weight=0.01)
    assert surviving[0].sum(1) == pytest.approx([0.9, 0.45, 0.225, 0.1125], rel=0.01)


def test_what_was_seen_fades_while_nothing_is_drafted() -> None:
    outlook, ground = seen([()] * 50, asked=4), Outlook.hopeful(4, rate=0.5)
    before = outlooks([outlook], ground, weight=4.0)[0][0, 0].sum()
    for _ in range(64):
        outlook.fade(16)
    assert before < 0.35
    assert outlooks([outlook], ground, weight=4.0)[0][0, 0].sum() > 0.85


def test_each_sequence_has_an_outlook_of_its_own() -> None:
    good, bad = seen([(0.9, 0.8)] * 30, asked=2), seen([()] * 30, asked=2)
    _, surviving = outlooks([good, bad], Outlook.hopeful(4), weight=6.0)
    assert surviving[0, 0].sum() > 3 * surviving[1, 0].sum()


def test_the_error_is_the_weighted_distance_of_class_means():
    p, right = numpy.array([0.1, 0.1, 0.95, 0.95]), numpy.array([False, True, True, True])
    assert [(round(m, 2), s, n) for m, s, n in reliability(p, right)] == [(0.1, 0.5, 2), (0.95, 1.0, 2)]
    assert calibration_error(p, right) == pytest.approx(0.5 * 0.4 + 0.5 * 0.05)
