"""What a controller is: two decisions in every step, and what it learns from.

Pure decisions on sequences, drafts and Rounds; a controller knows no model and measures nothing itself.

    class Always2(Controller):
        def plan(self, sequences, load): return [min(2, s.max_draft_tokens) for s in sequences]
"""

from __future__ import annotations

from dataclasses import dataclass

from covey.types import Draft, Round, Sequence


@dataclass(frozen=True)
class Load:
    """What a step feeds the target anyway: committed tokens, prompts' too, the sum over them of how far each looks back, and the
    sequences that they are of."""

    tokens: int
    reach: int
    sequences: int


@dataclass(frozen=True)
class Cut:
    """How much of a draft is verified, and why.

    length: so many of its tokens, branches included, the likeliest ones (`Draft.cut`). gain: those of them that are expected to be
    accepted. cost: the seconds that drafting and verifying it are expected to add to the step. reason: in a word or two, for Rounds; empty
    where the controller has no reasons.
    """

    length: int
    gain: float = 0.0
    cost: float = 0.0
    reason: str = ""


class Controller:
    """Chooses draft lengths; 0 is plain decoding of that sequence. Subclass it: only `plan` must be written."""

    floor: float | None = None
    """What drafters that guess token by token are told to heed, see Drafter.heed; None where the controller has no such rule."""
    checking: float = 0.0
    """What it costs the target to check one more drafted token, in tokens: for drafters that weigh what is worth saying."""

    def plan(self, sequences: list[Sequence], load: Load) -> list[int]:
        """A cap on each sequence's draft this step, never above sequence.max_draft_tokens."""
        raise NotImplementedError

    def trim(self, sequences: list[Sequence], drafts: list[Draft], load: Load) -> list[Cut]:
        """How much of each draft is sent to the target; of all of it, unless a controller knows better. Never more than was planned is."""
        return [Cut(draft.size) for draft in drafts]

    def observe(self, rounds: list[Round]) -> None:
        """Learn from the Rounds of one step."""
        return None

    def forget(self, sequence: Sequence) -> None:
        """This sequence has ended, however it did."""
        return None
