"""The vote: how several members' guesses become one draft.

Pure. Token by token the heaviest token wins, or members' distributions are mixed; whole sequences are merged into a prefix tree,
from whose root the heaviest child is followed, so that one path is verified however many members voted (Smurfs, SC'25; the rule for
ties is ours). Members that err together may share their votes (`kinship.py`).
Knows nothing of drafters or of where weights come from.

    mixture([Opinion(1.0, ((5, 0.6), (7, 0.3))), Opinion(1.0, ((8, 0.7), (7, 0.3)))])     # 7 is nobody's favourite, but 0.3
    winner([Ballot(5, 1.2), Ballot(7, 0.8), Ballot(7, 0.9)]).token      # 7
    heaviest_path([(5, 6), (7, 8)], [Standing(1.0), Standing(2.0)])     # (7, 8)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# What is left of a member's weight in a company of members who are for the same, by number; see kinship.Kinship.share.
Sharing = Callable[[int, Sequence[int]], float]


def whole(member: int, company: Sequence[int]) -> float:
    """Everybody's vote is a vote, whoever agrees."""
    return 1.0


class Ballot(NamedTuple):
    """One member's vote. weight: what it counts for; record: the member's hit rate, which decides ties; member: whose vote it is."""

    token: int
    weight: float
    record: float = 0.0
    member: int = 0


@dataclass(frozen=True)
class Elected:
    """The token that won, who voted for it (by number of the ballot, heaviest first), and its share of all weight."""

    token: int
    supporters: tuple[int, ...]
    share: float


@dataclass(frozen=True)
class Opinion:
    """A member's distribution over the next token, as far as it says, and what that counts for."""

    weight: float
    likely: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Standing:
    """What a member's whole sequence counts for: see Ballot."""

    weight: float
    record: float = 0.0
    member: int = 0


def winner(ballots: Sequence[Ballot], sharing: Sharing = whole) -> Elected:
    """The token with the most weight behind it, where members for the same token share votes as far as `sharing` says.

    Ties go to the token with the larger single weight, then to the one whose best supporter has the better record, then to the
    member that comes first. Raises ValueError where nobody votes.
    """
    if not ballots:
        raise ValueError("ballots is empty: somebody must vote")
    tokens: dict[Hashable, list[int]] = {}
    for number, ballot in enumerate(ballots):
        tokens.setdefault(ballot.token, []).append(number)
    counted = [0.0] * len(ballots)
    for numbers in tokens.values():
        company = [ballots[n].member for n in numbers]
        for n in numbers:
            counted[n] = ballots[n].weight * sharing(ballots[n].member, company)

    def standing(numbers: list[int]) -> tuple[float, float, float, int]:
        # Summed from the lightest up, so that the sum does not depend on the order of members.
        weights = sorted(counted[n] for n in numbers)
        return sum(weights), weights[-1], max(ballots[n].record for n in numbers), -numbers[0]

    best = max(tokens.values(), key=standing)
    total = sum(sorted(counted))
    supporters = tuple(sorted(best, key=lambda n: (-ballots[n].weight, n)))
    return Elected(ballots[best[0]].token, supporters, standing(best)[0] / total if total > 0 else len(best) / len(ballots))


def mixture(opinions: Sequence[Opinion]) -> dict[int, float]:
    """The weighted mean of distributions, over all tokens that any of them names; equal weights where nobody has any.

    What a distribution leaves unsaid stays so: the sum is at most 1. Raises ValueError where there is none.
    """
    if not opinions:
        raise ValueError("opinions is empty: somebody must have one")
    total = sum(opinion.weight for opinion in opinions)
    mixed: dict[int, float] = {}
    for opinion in opinions:
        share = opinion.weight / total if total > 0 else 1 / len(opinions)
        for token, probability in opinion.likely:
            mixed[token] = mixed.get(token, 0.0) + share * probability
    return mixed


def heaviest_path(paths: Sequence[Sequence[int]], standings: Sequence[Standing], sharing: Sharing = whole) -> list[Elected]:
    """Walk the prefix tree of the members' sequences from the root, always to the heaviest child: one election for each token.

    standings: one for each path. Supporters are told by the number of their path. The path is as long as that of some member who
    went all of it.
    """
    found: list[Elected] = []
    going = [number for number in range(len(paths)) if len(paths[number])]
    while going:
        depth = len(found)
        elected = winner([Ballot(paths[n][depth], standings[n].weight, standings[n].record, standings[n].member) for n in going], sharing)
        found.append(Elected(elected.token, tuple(going[i] for i in elected.supporters), elected.share))
        going = [n for n in going if paths[n][depth] == elected.token and len(paths[n]) > depth + 1]
    return found
