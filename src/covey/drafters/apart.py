"""A vote on whole sequences: each member drafts alone, and the heaviest path through the tree of their drafts is taken (Smurfs, SC'25).

A cascade: the cheapest member always drafts, dearer ones where what a draft of theirs is expected to win pays for it (`economy.py`,
whose costs and gains are of whole drafts here).

    Apart(members, ledger, thrifty=True, clock=time.perf_counter).vote(drafts)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from covey.drafters.economy import Economy, Prospect
from covey.drafters.guesser import Growing
from covey.drafters.ledger import Asked, Cast, Ledger, Voted
from covey.drafters.member import Member, conditional
from covey.drafters.winnings import kind_of
from covey.types import Draft
from covey.vote import Standing as Weighed
from covey.vote import heaviest_path


@dataclass
class _Tree:
    """The members' drafts of one sequence while they come in, and the heaviest path so far."""

    draft: Growing
    own: dict[int, Draft] = field(default_factory=dict)  # by member
    path: tuple[int, ...] = ()
    heard: bool = False

    @property
    def surest(self) -> float | None:
        """How sure anybody is of the token that its draft begins with."""
        return max((conditional(own, 0) for own in self.own.values() if len(own)), default=None)


class Apart:
    """See above. thrifty: False asks everybody everywhere."""

    def __init__(self, members: list[Member], ledger: Ledger, thrifty: bool, clock: Callable[[], float]) -> None:
        self.members, self.ledger, self.thrifty, self.clock = members, ledger, thrifty, clock

    def vote(self, drafts: list[Growing]) -> None:
        """Write these drafts, all of one target."""
        trees = [_Tree(draft) for draft in drafts if draft.length > 0]
        if not trees:
            return
        economy = self.ledger.economy(trees[0].draft.sequence.target)
        for number in economy.order():
            self._hear(number, trees, economy)
        for tree in trees:
            self.walk(tree.draft, tree.own, tree.path)

    def walk(self, draft: Growing, own: dict[int, Draft], path: tuple[int, ...]) -> None:
        """Write the heaviest path. own: the members' drafts, by number."""
        for depth, token in enumerate(path):
            # A member is heard, and scored, where its own tokens before are the voted ones.
            casts = [
                Cast(n, own[n].tokens[depth], conditional(own[n], depth))
                for n in sorted(own)
                if len(own[n]) > depth and own[n].tokens[:depth] == tuple(draft.tokens)
            ]
            supporters = tuple(cast for cast in casts if cast.token == token)
            self.ledger.write(draft, casts, Voted(token, supporters, max(cast.estimate for cast in supporters)))
            if draft.done:
                return

    def _hear(self, number: int, trees: list[_Tree], economy: Economy) -> None:
        """Let one member draft where that pays."""
        member = self.members[number]
        able = [tree for tree in trees if member.drafts_for(tree.draft.sequence)]
        unpriced = [tree for tree in able if not self.thrifty or not tree.heard]
        priced = [tree for tree in able if self.thrifty and tree.heard and economy.considers(number, kind_of(tree.surest), alive=1.0)]
        prospects = [Prospect(number, kind_of(tree.surest), alive=1.0, unread=member.unread(tree.draft.sequence)) for tree in priced]
        chosen = economy.chosen(prospects, paid=bool(unpriced))
        wanted = [(tree, kind_of(tree.surest), True) for tree in unpriced]
        wanted += [(tree, prospect.kind, False) for tree, prospect, asked in zip(priced, prospects, chosen, strict=True) if asked]
        for tree in able:
            tree.heard = True
        if not wanted:
            return
        drafts = [tree.draft for tree, _, _ in wanted]
        unread = sum(member.unread(draft.sequence) for draft in drafts)
        began = self.clock()
        proposed = member.call("propose", [], [draft.sequence for draft in drafts], [draft.length for draft in drafts])
        seconds = self.clock() - began
        if unread:
            economy.caught_up({number: unread}, seconds, len(wanted))
        else:
            economy.spent((number,), seconds, guesses=len(wanted), sequences=len(wanted))
        for tree, _, free in wanted:
            self.ledger.standings[tree.draft.sequence.id].spend(number, seconds / len(wanted), free=free, times=1)
        for (tree, kind, _), own in zip(wanted, proposed, strict=False):
            if not own.stale(tree.draft.sequence):
                self._count(number, tree, own, kind)

    def _count(self, number: int, tree: _Tree, own: Draft, kind: int) -> None:
        """Find the heaviest path with one more draft, and note what that changed."""
        standing, before = self.ledger.standings[tree.draft.sequence.id], tree.path
        tree.own[number] = own
        numbers = [n for n in sorted(tree.own) if len(tree.own[n])]
        # A member's whole draft weighs as much as the guess that it begins with.
        weighed = [Weighed(standing.weights.of(n, conditional(tree.own[n], 0)), standing.rates.of(n), n) for n in numbers]
        paths = [tree.own[n].tokens[: tree.draft.length] for n in numbers]
        tree.path = tuple(elected.token for elected in heaviest_path(paths, weighed, standing.sharing))
        standing.asked.append(Asked(number, kind, 0, before, tree.path))
