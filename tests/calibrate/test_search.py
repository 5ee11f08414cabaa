"""The replay counts rounds as the drafter makes them, and the search finds what is fastest, also where that is to do less."""

from __future__ import annotations

import random
from itertools import product

import numpy
import pytest

from covey.calibrate.search import Costs, Plan, Replay, contenders, fixed_exit, search

CHEAP = Costs(verify=(1.0,) * 7, begin=0.0, token=(0.01, 0.02, 0.03))


def replay_of(*texts: list[tuple[tuple[float, ...], tuple[bool, ...]]]) -> Replay:
    """A replay of texts given as (estimates, right) at each position."""
    estimates = numpy.array([p for text in texts for p, _ in text])
    right = numpy.array([r for text in texts for _, r in text])
    return Replay(estimates, right, numpy.repeat(range(len(texts)), [len(text) for text in texts]))


def rounds_by_hand(texts, thresholds, length, costs):
    """Tokens and seconds, round by round."""
    tokens, seconds = 0, 0.0
    for text in texts:
        at = 0
        while at < len(text):
            k = min(length, len(text) - at - 1)
            cost = costs.begin if k else 0.0
            good, hit = True, 0
            for estimates, right in text[at : at + k]:
                number = 0
                while number < len(thresholds) and (thresholds[number] == 1 or estimates[number] < thresholds[number]):
                    number += 1
                cost += costs.token[number]
                good = good and right[number]
                hit += good
            tokens, seconds, at = tokens + hit + 1, seconds + cost + costs.verify[k], at + hit + 1
    return tokens, seconds


def random_texts(seed: int, count: int = 4):
    chooser = random.Random(seed)

    def position():
        p = tuple(chooser.random() for _ in range(3))
        return p, tuple(chooser.random() < x for x in p)

    return [[position() for _ in range(chooser.randint(1, 30))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_a_replay_is_what_rounds_by_hand_give(seed):
    texts = random_texts(seed)
    costs = Costs(verify=(1.0, 1.1, 1.3, 1.4, 1.9, 2.0, 2.5), begin=0.05, token=(0.1, 0.17, 0.3))
    replay = replay_of(*texts)
    for thresholds, length in product([(0.0, 0.0), (1.0, 1.0), (0.4, 0.8), (1.0, 0.3)], (0, 1, 3, 6)):
        tokens, seconds = rounds_by_hand(texts, thresholds, length, costs)
        found = replay.predict(Plan(thresholds, length), costs)
        assert found.tokens_per_second == pytest.approx(tokens / seconds)
        assert tokens == sum(map(len, texts))


def test_a_first_exit_that_is_always_right_is_never_left():
    text = [((0.9, 0.9, 0.9), (True, True, True))] * 40
    best = search(replay_of(text), CHEAP, 6)[0]
    assert best.plan == Plan((0.0, 0.0), 6)


def test_an_exit_that_knows_when_it_is_wrong_is_left_just_then():
    """Half of the positions: the first exit is right and says so. The others: only the last one is right."""
    easy, hard = ((0.95, 0.95, 0.95), (True, True, True)), ((0.1, 0.1, 0.95), (False, False, True))
    costs = Costs(verify=(1.0,) * 7, begin=0.0, token=(0.01, 0.2, 0.5))
    found = search(replay_of([easy, hard] * 40), costs, 6)
    best = found[0]
    assert 0.1 < best.plan.thresholds[0] <= 0.95
    assert best.acceptance == 1
    assert best.tokens_per_second > max(each.tokens_per_second for each in found if each.plan.thresholds in ((0.0, 0.0), (1.0, 1.0)))


def test_where_drafting_does_not_pay_plain_decoding_is_best():
    costs = Costs(verify=(1.0, 2.0, 3.0), begin=0.5, token=(1.0, 1.0, 1.0))
    best = search(replay_of(*random_texts(0)), costs, 2)[0]
    assert (best.plan.num_tokens, best.draft_share) == (0, 0.0)


def test_real_runs_are_for_plain_all_fixed_exits_and_the_best_others():
    found = search(replay_of(*random_texts(1)), CHEAP, 3)
    tried = contenders(found, 3, most=2)
    assert tried[0].plan.num_tokens == 0
    assert [each.plan.thresholds for each in tried[1:4]] == [fixed_exit(e, 3) for e in range(3)]
    others = [each for each in found if each.plan.num_tokens and each.plan.thresholds not in [fixed_exit(e, 3) for e in range(3)]]
    assert tried[4:] == others[:2]


def test_a_draft_of_one_exit_has_lengths_alone():
    texts = [[((0.5,), (True,))] * 10]
    found = search(replay_of(*texts), Costs((1.0, 1.0, 1.0), 0.0, (0.1,)), 2)
    assert {each.plan for each in found} == {Plan((), 0), Plan((), 1), Plan((), 2)}
