"""Who is asked at once in a vote in lockstep: a member by itself, or kin over one stack.

Knows who is asked, what to do when that fails, and when its time is a measure; not who is worth asking, nor how a vote is held.

    for section in sections(members): section.guesses([(section.numbers[0], draft)])
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable
from typing import Protocol

from covey.drafters.guesser import Growing, Guess, Together
from covey.drafters.member import Member

log = logging.getLogger(__name__)

_FAILURES_BEFORE_PARTING = 3

Asked = tuple[int, Growing]  # a member by its number, and its own copy of a draft


class Section(Protocol):
    """Members that are asked at once, by their numbers."""

    numbers: tuple[int, ...]

    def guesses(self, asked: list[Asked]) -> list[Guess | None]:
        """What each expects next in its draft."""
        ...

    def unread(self, asked: list[Asked]) -> dict[int, int]:
        """By member, how many tokens of these texts have to be read first, where that is more than a few; to be asked before."""
        ...

    def usual(self, asked: list[Asked]) -> bool:
        """Whether the time that these guesses will take says something of the next, where nothing has to be read first; to be asked
        before."""
        ...


class One:
    """A member by itself."""

    def __init__(self, number: int, member: Member) -> None:
        self.numbers: tuple[int, ...] = (number,)
        self.member = member

    def guesses(self, asked: list[Asked]) -> list[Guess | None]:
        return self.member.guesses([own for _, own in asked])

    def unread(self, asked: list[Asked]) -> dict[int, int]:
        return _unread({self.numbers[0]: self.member}, asked) if self.member.reads else {}

    def usual(self, asked: list[Asked]) -> bool:
        """What a whole draft cost was spent when it was made; what follows a draft token by token runs more than once."""
        if self.member.guesser is None:
            return False
        return not self.member.drafter.wants_hidden or all(self.member.passes(own) == 1 for _, own in asked)


class Kin:
    """Members over one stack. Where they fail together each is asked by itself, so that the one whose fault it is is found; where it is
    nobody's, three times, they part."""

    def __init__(self, members: dict[int, Member], stack: Together) -> None:
        self.numbers, self.members, self.stack = tuple(members), members, stack
        self._in_vain = 0  # how often they failed together and nobody did alone

    def guesses(self, asked: list[Asked]) -> list[Guess | None]:
        if self._in_vain >= _FAILURES_BEFORE_PARTING:
            return self._one_by_one(asked)
        try:
            guesses = self.stack.ask([(self.members[number].guesser, own) for number, own in asked])
        except Exception:
            names = ", ".join(self.members[number].name for number in self.numbers)
            log.warning("members %s failed when they were asked together; each is asked by itself", names, exc_info=True)
            guesses = self._one_by_one(asked)
            self._in_vain += all(guess is not None for guess in guesses)
            return guesses
        for number, _ in asked:
            self.members[number].succeeded("ask")
        return guesses

    def _one_by_one(self, asked: list[Asked]) -> list[Guess | None]:
        return [guess for number, own in asked for guess in self.members[number].guesses([own])]

    def unread(self, asked: list[Asked]) -> dict[int, int]:
        return _unread(self.members, asked)

    def usual(self, asked: list[Asked]) -> bool:
        """Nor does it where somebody was left out before: what it has to catch up with may take passes of its own."""
        return all(len(own.evidence) == len(own.tokens) for _, own in asked)


def _unread(members: dict[int, Member], asked: list[Asked]) -> dict[int, int]:
    found: Counter[int] = Counter()
    for number, own in asked:
        found[number] += members[number].unread(own.sequence, len(own.tokens))
    return {number: tokens for number, tokens in found.items() if tokens}


def sections(members: list[Member]) -> list[Section]:
    """Those of one kin together, all others by themselves; in the order of members."""
    companies: dict[Hashable, dict[int, Member]] = {}
    for number, member in enumerate(members):
        kin = None if member.guesser is None else member.guesser.kin
        companies.setdefault((number, kin) if kin is None else kin, {})[number] = member
    return [_section(company) for company in companies.values()]


def _section(company: dict[int, Member]) -> Section:
    (number, first), *others = company.items()
    if not others:
        return One(number, first)
    assert first.guesser is not None
    return Kin(company, first.guesser.together([member.guesser for _, member in others]))
