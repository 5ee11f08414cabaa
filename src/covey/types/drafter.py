"""What a drafter is, and what it learns of the target that it drafts for. Knows none in particular.

class MyDrafter(Drafter):
    def propose(self, sequences, lengths): return [Draft.empty(sequence) for sequence in sequences]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from covey.types.draft import Draft
from covey.types.round import Round
from covey.types.sequence import Sequence


@dataclass(frozen=True)
class Host:
    """What a drafter learns when it is bound to a target, before any sequence starts.

    tokenizer offers encode, decode and `differences(other)`; max_tokens is the most positions that all of this target's
    sequences together may hold, so a drafter with a cache of its own can size it. target is the name that the target is
    served under, which its sequences carry; model is that of its weights, by which a drafter may know settings that were
    calibrated for it. hidden_size is that of the hidden states that the target can give; 0 for one that gives none. branches says
    whether those of a draft are verified.
    """

    tokenizer: Any
    vocab_size: int
    max_model_len: int
    max_num_seqs: int
    max_tokens: int
    device: str
    dtype: str
    end_ids: frozenset[int] = frozenset()
    target: str = ""
    model: str = ""
    hidden_size: int = 0
    branches: bool = True


@runtime_checkable
class Drafter(Protocol):
    """An object that proposes. Subclass it: only `propose` must be written.

    A drafter keeps its own state by `sequence.id`, catches up by itself on tokens that it has not seen, and must
    not change the sequence. Whatever it proposes, the text stays the target's: it can only cost or save time.

    serves_several says that it may be bound to several targets, one after another, and then drafts for the sequences of
    all of them; sequence.target tells whose. wants_hidden asks the target for its hidden states; a drafter must be able to do
    without those that it was not given. drafts_ahead says that `propose_ahead` may be asked. looks_back says how many tokens it reads
    at most before a draft, of all that it has not seen; None: all of them. It is told to who plans what is drafted: reading takes time.
    """

    name: str = "drafter"
    serves_several: bool = False
    wants_hidden: bool = False
    drafts_ahead: bool = False
    looks_back: int | None = None

    @property
    def bytes_per_token(self) -> int:
        """Cache bytes that this drafter keeps for each position of each sequence; counted in the memory plan."""
        return 0

    def bind(self, host: Host) -> None:
        """Called once for each target. Raise UnsupportedError when this drafter does not fit it."""
        return None

    def start(self, sequence: Sequence) -> None:
        """A sequence begins (its prompt is committed), or begins anew after a preemption."""
        return None

    def rest(self, sequence: Sequence) -> None:
        """The sequence takes no part for now, perhaps for good: memory that is kept for it may be used until it takes part again."""
        return None

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> None:
        """A sequence that was just started has its first `length` tokens in common with another one, that was not stopped yet.

        What is known of these may be copied, or taken where the other one has finished. Without this a drafter reads them again.
        """
        return None

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        """One draft for each sequence, of at most the given length (at least 1); shorter or empty is fine."""
        raise NotImplementedError

    def propose_ahead(self, sequences: list[Sequence], sent: list[int], lengths: list[int]) -> list[Draft]:
        """Go on while the target verifies: sent[i] tokens of the last draft of sequences[i] are on their way.

        Suppose that these are accepted, and that the token after them is your own next guess; return the draft that begins after that
        token, of at most the given length, with start and prefix_id of the text so supposed, and survival if the text comes true. May
        be called again, with greater lengths, before `commit` says what came. Where the text came true the next draft to be
        verified is a beginning of this one, and `propose` is not called.
        """
        raise NotImplementedError

    def heed(self, floor: float | None, checking: float) -> None:
        """A draft need not go on when the probability that all of it is right falls under this floor; None leaves it to the drafter.
        checking: what it costs the target to check a drafted token, in tokens, as far as the controller reckons with it."""
        return None

    def receive(self, sequence: Sequence, start: int, hidden: Any) -> None:
        """The target's last hidden states at positions start, start + 1, ..., which stand: [n, hidden_size]. Before `commit`."""
        return None

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """The target accepted so many tokens of the draft; sequence.tokens already holds them and the one more, and the one after that
        where it was one of the draft's branches."""
        return None

    def observe(self, happened: Round) -> None:
        """A round of a target that this drafter serves is over: what it cost, for a drafter that weighs costs."""
        return None

    def stop(self, sequence: Sequence) -> None:
        """Forget this sequence. Called exactly once for each start; a sequence that has ended may rest for a while before."""
        return None

    def close(self) -> None:
        """Give back memory and threads."""
        return None
