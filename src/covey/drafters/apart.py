"""A vote on whole sequences: each member drafts alone, and the heaviest path through the tree of their drafts is taken (Smurfs, SC'25).

Apart(members, ledger).vote(drafts)
"""

from __future__ import annotations

from covey.drafters.guesser import Growing
from covey.drafters.ledger import Cast, Ledger, Voted
from covey.drafters.member import Member, conditional
from covey.types import Draft
from covey.vote import Standing as Weighed
from covey.vote import heaviest_path


class Apart:
    """See above."""

    def __init__(self, members: list[Member], ledger: Ledger) -> None:
        self.members, self.ledger = members, ledger

    def vote(self, drafts: list[Growing]) -> None:
        """Write these drafts, all of one target."""
        wanted = [draft for draft in drafts if draft.length > 0]
        if not wanted:
            return
        sequences, lengths = [draft.sequence for draft in wanted], [draft.length for draft in wanted]
        proposed = [member.call("propose", [], sequences, lengths) for member in self.members]
        for index, draft in enumerate(wanted):
            own = {n: p[index] for n, p in enumerate(proposed) if index < len(p) and not p[index].stale(draft.sequence)}
            self.walk(draft, own)

    def walk(self, draft: Growing, own: dict[int, Draft]) -> None:
        """Write the heaviest path. own: the members' drafts, by number."""
        for depth, token in enumerate(self._path(draft, own)):
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

    def _path(self, draft: Growing, own: dict[int, Draft]) -> tuple[int, ...]:
        """The heaviest path; a member weighs as much as the guess that it begins with."""
        standing = self.ledger.standings[draft.sequence.id]
        numbers = [n for n in sorted(own) if len(own[n])]
        weighed = [Weighed(standing.weights.of(n, conditional(own[n], 0)), standing.rates.of(n)) for n in numbers]
        return tuple(elected.token for elected in heaviest_path([own[n].tokens[: draft.length] for n in numbers], weighed))
