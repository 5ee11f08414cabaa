"""Members of collectives whose every guess is known beforehand, and a sequence for them to draft for."""

from __future__ import annotations

from covey import SamplingParams
from covey.drafters import CollectiveDrafter
from covey.drafters.guesser import Growing, Guess, Guesser
from covey.types import Draft, Drafter, Round, Sequence


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
