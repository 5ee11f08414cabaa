"""The baselines follow their rules, on Rounds made by hand."""

from __future__ import annotations

import pytest

from covey.config.catalogue import CONTROLLERS
from covey.control import (
    BatchTable,
    ConfidenceThreshold,
    Controller,
    FixedLength,
    Heuristic,
    Load,
    SmurfsSelector,
    Watch,
    make_controller,
)
from covey.cost import Costs
from covey.sampling_params import SamplingParams
from covey.types import Draft, Round, Sequence

LOAD = Load(1, 10, 1)


def sequence(id: int = 0, max_tokens: int = 100) -> Sequence:
    return Sequence(id, (5, 6), SamplingParams(max_tokens=max_tokens))


def happened(
    id: int = 0, drafted: int = 0, accepted: int = 0, seconds: float = 0.02, prefilled: int = 0, tokens: int | None = None
) -> Round:
    return Round(
        step=0,
        sequence_id=id,
        request_id="r",
        index=0,
        start=2,
        planned=drafted,
        drafted=(7,) * drafted,
        survival=(0.5,) * drafted,
        source="test",
        accepted=accepted,
        tokens=(7,) * (accepted + 1 if tokens is None else tokens),
        prefilled=prefilled,
        finish_reason=None,
        step_sequences=1,
        step_tokens=1 + drafted,
        step_draft_seconds=0.0,
        step_verify_seconds=seconds,
        step_other_seconds=0.0,
    )


def draft(text: Sequence, *survival: float) -> Draft:
    return Draft(len(text.tokens), text.prefix_id, (7,) * len(survival), survival, "test")


def test_every_controller_that_can_be_configured_is_made() -> None:
    made = {name: make_controller(name, 6, Costs()) for name in CONTROLLERS}
    assert len({type(each) for each in made.values()}) == len(CONTROLLERS)
    for name, each in made.items():
        lengths = each.plan([sequence(1), sequence(2, max_tokens=2), sequence(3, max_tokens=1)], Load(3, 30, 3))
        assert all(0 <= length <= most for length, most in zip(lengths, (6, 1, 0), strict=True)), name
    with pytest.raises(KeyError):
        make_controller("wishful", 6, Costs())


def test_a_fixed_length_is_fixed() -> None:
    assert FixedLength(4).plan([sequence(), sequence(1, max_tokens=3)], LOAD) == [4, 2]
    with pytest.raises(ValueError, match="length=-1"):
        FixedLength(-1)


def test_the_heuristic_goes_up_by_two_and_down_by_one_for_each_sequence() -> None:
    chooser, mine, other = Heuristic(longest=7), sequence(0), sequence(1)
    plan = lambda: chooser.plan([mine, other], LOAD)  # noqa: E731
    assert plan() == [4, 4]
    chooser.observe([happened(0, 4, 4), happened(1, 4, 3)])
    assert plan() == [6, 3]
    chooser.observe([happened(0, 6, 6), happened(1)])  # no draft, no change
    assert plan() == [7, 3]
    for _ in range(5):
        chooser.observe([happened(1, 3, 0)])
    assert plan() == [7, 1]
    chooser.forget(other)
    assert plan() == [7, 4]


def test_the_threshold_is_of_a_token_and_not_of_the_draft() -> None:
    chooser, text = ConfidenceThreshold(longest=8, threshold=0.4), sequence()
    assert chooser.plan([text], LOAD) == [8]
    drafts = [draft(text, 0.5, 0.25, 0.125), draft(text, 0.9, 0.3, 0.29), draft(text, 0.3), draft(text)]
    assert [cut.length for cut in chooser.trim([text] * 4, drafts, LOAD)] == [3, 1, 0, 0]


def test_the_table_is_read_by_the_number_of_sequences() -> None:
    chooser = BatchTable(longest=3, table={4: 2, 1: 5})
    assert chooser.plan([sequence()], LOAD) == [3]  # never above the longest
    assert chooser.plan([sequence(i) for i in range(3)], LOAD) == [2] * 3
    assert chooser.plan([sequence(i) for i in range(5)], LOAD) == [0] * 5


def test_smurfs_goes_on_while_time_for_a_token_falls_and_turns_when_it_rises() -> None:
    chooser = SmurfsSelector(longest=8)

    def after(seconds: list[float]) -> int:
        for each in seconds:
            chooser.observe([happened(drafted=4, accepted=1, seconds=each)])
        return chooser.plan([sequence()], LOAD)[0]

    falling = [0.02 - 0.001 * i for i in range(8)]
    assert after([]) == 4
    assert after(falling[:7]) == 4  # not enough to fit a line to
    assert after(falling[7:]) == 5
    assert after(falling) == 6
    assert after(falling[::-1]) == 5
    for _ in range(10):
        length = after(falling)
    assert length == 1  # down as far as it goes, and never 0


def test_smurfs_does_not_learn_from_prompts() -> None:
    chooser = SmurfsSelector(longest=8)
    for i in range(20):
        chooser.observe([happened(seconds=1.0 - 0.01 * i, prefilled=100), happened(1, tokens=0)])
    assert chooser.plan([sequence()], LOAD) == [4]


def test_watching_has_everything_drafted_and_nothing_sent() -> None:
    chooser: Controller = Watch(longest=8)
    text = sequence()
    assert chooser.plan([text], LOAD) == [8]
    assert chooser.floor == 0.0
    (cut,) = chooser.trim([text], [draft(text, 0.9, 0.9)], LOAD)
    assert (cut.length, cut.reason) == (0, "watching")
