"""Drafters that write a draft token by token, and can be led along another's tokens.

A `Guesser` says what it would write next; whoever drafts decides what is written. Alone it writes what it guesses itself; in a
collective the vote decides, and every member goes on from there. Each guess is scored when the text has reached it, as
long as what was written before it stands. Knows nothing of models.

    class MyDrafter(Guesser):
        def guess(self, growing): ...    # a Guess for each, or None
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from covey.types import Branch, Draft, Drafter, Sequence, prefix_id_after


class Guess(NamedTuple):
    """A token, the estimated probability that it is right if all before it are, and what the estimate rests on (the guesser's own).

    likely: the likeliest tokens with the probabilities that the guesser gives them, of all that the request's sampling leaves; told
    where `Guesser.tells_likely` asks for it, and by those that know. others: what else may come here, each with the estimated
    probability that it does: branches of the draft.
    """

    token: int
    probability: float
    evidence: Any = None
    likely: tuple[tuple[int, float], ...] = ()
    others: tuple[tuple[int, float], ...] = ()


Other = tuple[int, float, tuple[str, ...]]  # a token, the probability that it is right if all before it is, and who is for it


class Beside(NamedTuple):
    """What else may come at a place of a draft, and the estimated probability that it does if all before is right; votes: see Draft."""

    place: int
    token: int
    probability: float
    votes: tuple[str, ...] = ()


@dataclass
class Growing:
    """One sequence's draft while it is written, and until it is known what became of it.

    evidence[i] is that of the guesser's own guess at position start + i, whatever was written there; it may be one longer than
    tokens, where a guess was not worth writing. supposed: so many of its tokens are taken to be right, as if they were committed.
    beside: what becomes branches of it.
    """

    sequence: Sequence
    start: int
    length: int
    tokens: list[int] = field(default_factory=list)
    survival: list[float] = field(default_factory=list)
    evidence: list[Any] = field(default_factory=list)
    supposed: int = 0
    beside: list[Beside] = field(default_factory=list)

    @property
    def alive(self) -> float:
        """The estimated probability that all of it is right so far."""
        return self.survival[-1] if self.survival else 1.0

    @property
    def done(self) -> bool:
        """Long enough, or ended by an end token: nothing after that could be accepted."""
        return len(self.tokens) >= self.length or bool(self.tokens and self.tokens[-1] in self.sequence.end_ids)

    def add(self, token: int, probability: float) -> None:
        """Write a token that is right with this probability if all before it are."""
        self.survival.append(1.0 if len(self.tokens) < self.supposed else self.alive * probability)
        self.tokens.append(token)

    def extend(self, token: int, probability: float, min_survival: float, floor: float | None, others: Iterable[Other] = ()) -> bool:
        """Write a token that is worth it, and beside it what else may come there; whether it was.

        A drafter by itself leaves out a token with which the draft's survival falls under its min_survival. Where a controller has set a
        floor, the token that falls under it is the last: it is guessed already, and the controller decides whether it is sent. So it does
        of what stands beside.
        """
        if len(self.tokens) < self.supposed:  # on the way of what is supposed: there is no choice
            self.add(token, probability)
            return True
        worth = floor is not None or self.alive * probability >= min_survival
        if worth:
            place, before = len(self.tokens), self.alive
            self.beside += [Beside(place, *each) for each in others if floor is not None or before * each[1] >= min_survival]
            self.add(token, probability)
        if not worth or (floor is not None and self.alive < floor):
            self.end()
        return worth

    def end(self) -> None:
        """Write no more."""
        self.length = len(self.tokens)

    def suppose(self, count: int, length: int) -> None:
        """Go on as if the first `count` tokens, written or not, were right, to so many more."""
        held = self.survival[count - 1] if 0 < count <= len(self.survival) else 1.0
        self.survival = [1.0] * min(count, len(self.survival)) + [min(1.0, each / held) if held else 0.0 for each in self.survival[count:]]
        self.supposed, self.length = count, max(len(self.tokens), count + length)

    def shift(self, count: int) -> None:
        """The first `count` tokens are committed, and the rest goes on from there."""
        self.suppose(count, 0)
        self.start, self.supposed, self.length = self.start + count, 0, max(0, self.length - count)
        del self.tokens[:count], self.survival[:count], self.evidence[:count]
        self.beside = [each._replace(place=each.place - count) for each in self.beside if each.place >= count]

    def draft(self, source: str, **told: Any) -> Draft:
        """From what is supposed on. told: what else a Draft tells of itself."""
        start, prefix_id = self.start + self.supposed, prefix_id_after(self.sequence.prefix_id, self.tokens[: self.supposed])
        tokens, survival = tuple(self.tokens[self.supposed :]), tuple(self.survival[self.supposed :])
        return Draft(start, prefix_id, tokens, survival, source, branches=tuple(self._branches(survival)), **told)

    def _branches(self, survival: tuple[float, ...]) -> Iterator[Branch]:
        """survival: of the draft from what is supposed on."""
        for place, token, probability, votes in self.beside:
            if 0 <= (at := place - self.supposed) <= len(survival):
                yield Branch(at, token, probability * (survival[at - 1] if at else 1.0), votes)

    def unseen(self, cached: int) -> list[int]:
        """Committed and written tokens from position `cached` on. For a draft under way."""
        return self.sequence.tokens[cached:] + self.tokens[max(0, cached - self.start) :]

    @property
    def goes_on(self) -> bool:
        """Whether it holds tokens beyond the text, all of which it foresaw."""
        committed = len(self.sequence.tokens) - self.start
        return committed < len(self.tokens) and self.agreed == committed

    @property
    def agreed(self) -> int:
        """How many of its tokens the sequence has committed since."""
        count = 0
        for mine, committed in zip(self.tokens, self.sequence.tokens[self.start :], strict=False):
            if mine != committed:
                break
            count += 1
        return count


class Together(Protocol):
    """What asks several guessers at once."""

    def ask(self, asked: list[tuple[Any, Growing]]) -> list[Guess | None]:
        """As `Guesser.ask`: what each guesser expects next in its draft. Where it raises, each can be asked by itself."""
        ...


class Guesser(Drafter):
    """A drafter that drafts by guessing one token after another. Subclass it: only `guess` must be written.

    min_survival: alone, it ends a draft before the token with which the estimated probability of being right so far falls
    under this, unless a controller knows better (`heed`). tells_likely: whether guesses are to say which tokens are how likely,
    for a mixture.
    """

    drafts_ahead = True
    min_survival = 0.0
    tells_likely = False

    def __init__(self) -> None:
        self._open: dict[int, Growing] = {}  # by sequence: the last draft, until it is settled
        self._floor: float | None = None

    def heed(self, floor: float | None, checking: float) -> None:
        self._floor = floor

    @property
    def kin(self) -> Hashable | None:
        """Guessers of equal kin can be put together, before they are bound; None: it is asked by itself."""
        return None

    def together(self, others: list[Any]) -> Together:
        """Put it together with others of its kin; it can still be asked by itself."""
        raise NotImplementedError

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        """What comes next in each of these drafts, after what is written in it; None where there is nothing to say.

        All are open and not done. A draft may have been written on by others since the last time.
        """
        raise NotImplementedError

    def room(self, sequence: Sequence, length: int) -> int:
        """The draft length, at most `length`, that can be drafted now."""
        return length

    def unread(self, sequence: Sequence, written: int = 0) -> int:
        """How many tokens it must read to guess after so many written ones, that are no part of what a guess costs."""
        return 0

    def learn(self, sequence: Sequence, evidence: Any, token: int) -> None:
        """At a position that a guess was made for came this token; what was written before it stood."""
        return None

    def rewind(self, sequence: Sequence, length: int) -> None:
        """What was read from position `length` on does not stand."""
        return None

    def open(self, sequence: Sequence, length: int) -> Growing:
        """Begin a draft of at most this length; what the last one came to is learned first."""
        self._settle(sequence)
        draft = self._open[sequence.id] = Growing(sequence, len(sequence.tokens), self.room(sequence, length))
        return draft

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        return self._written([self.open(sequence, length) for sequence, length in zip(sequences, lengths, strict=True)])

    def propose_ahead(self, sequences: list[Sequence], sent: list[int], lengths: list[int]) -> list[Draft]:
        """The last draft goes on: its token after those that were sent is what it guesses the target's own to be."""
        parts = zip(sequences, sent, lengths, strict=True)
        opened = [self.resume(sequence, 1 + count, length) for sequence, count, length in parts]
        found = iter(self._written([draft for draft in opened if draft is not None]))
        return [Draft.empty(sequence) if draft is None else next(found) for sequence, draft in zip(sequences, opened, strict=True)]

    def resume(self, sequence: Sequence, supposed: int, length: int) -> Growing | None:
        """The last draft, to be written on as if so many of its tokens were right, to so many more; None where that cannot be."""
        draft = self._open.get(sequence.id)
        if draft is None or draft.start != len(sequence.tokens) or len(draft.evidence) > len(draft.tokens):
            return None  # of another text; or there was nothing to say, or nothing worth writing
        if self.room(sequence, supposed + length) < supposed + length:
            return None
        draft.suppose(supposed, length)
        return draft

    def join(self, sequence: Sequence, supposed: int, length: int) -> Growing | None:
        """As `resume`, of a draft that others have written so far."""
        if sequence.id not in self._open:
            self.open(sequence, 0)
        return self.resume(sequence, supposed, length)

    def _written(self, drafts: list[Growing]) -> list[Draft]:
        """Write them to their ends."""
        while growing := [draft for draft in drafts if not draft.done]:
            for draft, guess in zip(growing, self.ask(growing), strict=True):
                if guess is None:
                    draft.end()
                else:
                    others = ((token, probability, ()) for token, probability in guess.others)
                    draft.extend(guess.token, guess.probability, self.min_survival, self._floor, others)
        return [draft.draft(self.name) for draft in drafts]

    def ask(self, growing: list[Growing]) -> list[Guess | None]:
        """`guess`, with what comes before it and after it."""
        self.prepare(growing)
        guesses = self.guess(growing)
        self.note(growing, guesses)
        return guesses

    def prepare(self, growing: list[Growing]) -> None:
        """What is to be done first, that is no part of a guess."""
        return None

    def note(self, growing: list[Growing], guesses: list[Guess | None]) -> None:
        """Keep what guesses rest on, so that it can be learned from."""
        for draft, guess in zip(growing, guesses, strict=True):
            draft.evidence += [None] * (len(draft.tokens) - len(draft.evidence))  # where it was not asked
            draft.evidence.append(None if guess is None else guess.evidence)

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """Learn from the committed text itself, not from the draft, which may be cut short or led by others.

        A draft that was written on beyond what was sent, and that the text follows so far, stays open.
        """
        open = self._open.get(sequence.id)
        if open is not None and open.supposed and open.goes_on:
            self._advance(open)
        else:
            self._settle(sequence)

    def stop(self, sequence: Sequence) -> None:
        self._open.pop(sequence.id, None)

    def close(self) -> None:
        self._open.clear()

    def shifted(self, sequence: Sequence, count: int) -> None:
        """So many tokens of the open draft are committed, and it goes on after them."""
        return None

    def _advance(self, draft: Growing) -> None:
        """Score the guesses that the text has reached."""
        sequence, count = draft.sequence, len(draft.sequence.tokens) - draft.start
        for evidence, token in zip(draft.evidence[:count], sequence.tokens[draft.start :], strict=False):
            if evidence is not None:
                self.learn(sequence, evidence, token)
        draft.shift(count)
        self.shifted(sequence, count)

    def _settle(self, sequence: Sequence) -> None:
        """Score the last draft's guesses up to the first position where what was written is wrong, and forget what does not stand."""
        draft = self._open.pop(sequence.id, None)
        if draft is None:
            return
        right = draft.agreed
        for evidence, token in zip(draft.evidence[: right + 1], sequence.tokens[draft.start :], strict=False):
            if evidence is not None:
                self.learn(sequence, evidence, token)
        # Of a draft that was trimmed more may stand than was sent; the last token is always read anew, for what comes after it.
        self.rewind(sequence, min(draft.start + right, len(sequence.tokens) - 1))
