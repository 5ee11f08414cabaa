"""Drafts are trimmed between drafting and verifying: what is sent is a beginning, and the drafter is told."""

from __future__ import annotations

from covey import LLM, Drafter, SamplingParams
from covey.control import Controller, Cut, Load
from covey.drafters import CollectiveDrafter
from covey.pipeline.guard import Guard, usable
from covey.types import Branch, Draft, Round, Sequence
from tests.exactness.drafters import BranchingDrafter

PARAMS = SamplingParams(max_tokens=40, ignore_eos=True)


class Trimming(Controller):
    """Plans 5 and sends one more each time, from 0 on."""

    floor = 0.25

    def __init__(self) -> None:
        self.cuts: list[Cut] = []

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        return [min(5, sequence.max_draft_tokens) for sequence in sequences]

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        made = [Cut(min(len(draft), len(self.cuts) % 6), 0.5, 0.001, "trimmed") for draft in drafts]
        self.cuts += made
        return made


class Listening(Drafter):
    """Drafts the last token again and again; notes what it is told."""

    name = "listening"

    def __init__(self) -> None:
        self.proposed: list[Draft] = []
        self.told: list[tuple[Draft, int]] = []
        self.floors: list[float | None] = []

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        drafts = [
            Draft(len(s.tokens), s.prefix_id, (s.tokens[-1],) * length, tuple(0.9**i for i in range(1, length + 1)), self.name)
            for s, length in zip(sequences, lengths, strict=True)
        ]
        self.proposed += drafts
        return drafts

    def heed(self, floor: float | None, checking: float) -> None:
        self.floors.append(floor)

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        self.told.append((draft, accepted))


def run(drafter: Drafter, controller: Controller) -> tuple[list[int], list[Round]]:
    with LLM("toy", drafters=[drafter]) as llm:
        llm.served().engine.controller = controller
        rounds: list[Round] = []
        llm.observe(rounds.append)
        return llm.generate("the birds fly", PARAMS)[0].token_ids, rounds


def test_what_is_sent_is_a_beginning_of_what_was_proposed() -> None:
    drafter, controller = Listening(), Trimming()
    tokens, rounds = run(drafter, controller)
    with LLM("toy", drafters=[]) as plain:
        assert plain.generate("the birds fly", PARAMS)[0].token_ids == tokens
    assert {len(each.drafted) for each in rounds} == set(range(6))
    for each, cut in zip(rounds, controller.cuts, strict=True):
        assert len(each.proposed) == len(each.survival) == each.planned
        assert each.drafted == each.proposed[: cut.length]
        assert (each.gain, each.cost, each.reason) == (0.5, 0.001, "trimmed")
        assert each.step_tokens == each.prefilled + 1 + cut.length
        assert each.accepted <= cut.length


def test_the_drafter_is_told_of_what_was_sent_also_when_that_is_nothing() -> None:
    drafter, controller = Listening(), Trimming()
    _, rounds = run(drafter, controller)
    asked = [each for each in rounds if each.planned]
    assert len(drafter.told) == len(asked) == len(drafter.proposed)
    for (sent, accepted), each in zip(drafter.told, asked, strict=True):
        assert (sent.tokens, accepted) == (each.drafted, each.accepted)
    assert () in [sent.tokens for sent, _ in drafter.told]


def test_branches_that_cannot_be_verified_are_left_out() -> None:
    text = Sequence(1, (3, 4), SamplingParams())
    branches = (Branch(0, -1, 0.1), Branch(0, 99, 0.1), Branch(1, 8, 0.1), Branch(3, 8, 0.01))
    draft = Draft(2, text.prefix_id, (5, 6, 200), (0.5, 0.4, 0.3), branches=branches)
    assert usable(draft, text, 8, vocab_size=90) == Draft(2, text.prefix_id, (5, 6), (0.5, 0.4), branches=branches[2:3])


def test_no_branch_goes_out_where_none_are_wanted() -> None:
    known = {(3, 4): [5, 6, 7, 8]}
    text, drafter = Sequence(1, (3, 4), SamplingParams()), BranchingDrafter(known, wrong_every=2)
    drafter.vocab_size = 90
    (draft,), (plain,) = (Guard(drafter, branches).propose([text], [4], 90) for branches in (True, False))
    assert draft.branches and not plain.branches
    assert draft.tokens == plain.tokens


def test_a_floor_reaches_drafters_and_the_members_of_a_collective() -> None:
    alone = Listening()
    run(alone, Trimming())
    assert set(alone.floors) == {0.25}
    members = [Listening(), Listening()]
    collective = CollectiveDrafter(list(members))
    run(collective, Trimming())
    assert collective.ledger.floor == 0.25
    assert [set(member.floors) for member in members] == [{0.25}, {0.25}]
