"""The nouns that covey's modules share: sequences, drafts, verdicts, rounds, and the protocols of drafters and targets.

This module knows nothing of models, tensors or scheduling; everything else imports it.

    Draft(start=len(seq.tokens), prefix_id=seq.prefix_id, tokens=(5, 7), survival=(0.9, 0.7), source="suffix")
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Protocol, runtime_checkable

from covey.sampling_params import SamplingParams

FinishReason = Literal["stop", "length", "abort", "error"]
Message = dict[str, Any]  # role and content; tool_calls and tool_call_id where tools are used
Prompt = str | list[int] | list[Message]

_HASH_MODULUS = (1 << 61) - 1
_HASH_BASE = 0x1F3D5B79A2C4E68D % _HASH_MODULUS


def prefix_id_after(prefix_id: int, tokens: Seq[int]) -> int:
    """The rolling hash of a text that goes on with these tokens."""
    for token in tokens:
        prefix_id = (prefix_id * _HASH_BASE + token + 1) % _HASH_MODULUS
    return prefix_id


@dataclass(frozen=True)
class TokenLogprob:
    """The target's log probability of a token (before processing), its rank (0 is best), and the best rivals."""

    token: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...] = ()


class Constraint(Protocol):
    """What a sequence's output may go on with: a function of the output's tokens alone, whoever asks and in whatever order."""

    def allowed(self, output: Seq[int]) -> bytes | None:
        """A bit for each token id that may follow this output, the lowest id in the lowest bit of the first byte, ids beyond the last
        byte may not; None after an output that is not itself allowed, or has ended."""
        ...

    def permitted(self, output: Seq[int], tokens: Seq[int]) -> int:
        """How many of these tokens may follow, one after another."""
        ...

    def failure(self, output: Seq[int]) -> str | None:
        """Why nothing but the end can follow this output, though it is not complete; None where all is well."""
        ...


@dataclass
class Sequence:
    """One text in the making: prompt and output token ids. The one mutable type; it grows only by `commit`.

    seed is already mixed from the request's seed, its prompt and the index of the completion (see noise.py), so
    that no two sequences share noise. end_ids are the tokens that end this sequence. target is the name of the target that
    writes it. kind is the kind of work that records are kept by: unless it is given, the request's label. scope says whose it is:
    sequences of different scopes share nothing that was read. shown is how many of its tokens drafters have been shown, as far as
    the controller knows. constraint is what the request's grammar comes to. draft_cap is the longest draft that the operator allows at
    the moment, None for any.
    """

    id: int
    prompt: tuple[int, ...]
    params: SamplingParams
    seed: int = 0
    request_id: str = ""
    index: int = 0
    end_ids: frozenset[int] = frozenset()
    tokens: list[int] = field(default_factory=list)
    prefix_id: int = 0
    finish_reason: FinishReason | None = None
    target: str = ""
    kind: str = ""
    scope: str = ""
    shown: int = 0
    constraint: Constraint | None = None
    draft_cap: int | None = None

    def __post_init__(self) -> None:
        self.kind = self.kind or self.params.label
        if not self.tokens:
            self.commit(self.prompt)

    @property
    def output(self) -> list[int]:
        return self.tokens[len(self.prompt) :]

    @property
    def num_output(self) -> int:
        return len(self.tokens) - len(self.prompt)

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    def commit(self, tokens: Seq[int]) -> None:
        """Append tokens that the target decided on."""
        self.prefix_id = prefix_id_after(self.prefix_id, tokens)
        self.tokens.extend(tokens)

    def copy(self) -> Sequence:
        """The same text at this moment, to be read while this one grows; prompt and parameters are shared."""
        return replace(self, tokens=list(self.tokens))

    @property
    def room(self) -> int:
        """Tokens that fit into max_tokens beside the target's next one."""
        return max(0, self.params.max_tokens - self.num_output - 1)

    @property
    def max_draft_tokens(self) -> int:
        """The longest draft that can be of use and is allowed."""
        if self.params.speculation.get("drafters") in ([], ()):
            return 0
        allowed = self.room if self.draft_cap is None else min(self.room, self.draft_cap)
        return max(0, min(allowed, self.params.speculation.get("num_tokens", allowed)))

    def takes_from(self, drafter: str) -> bool:
        """Whether a member of a collective may draft for this sequence."""
        names = self.params.speculation.get("drafters")
        return names is None or drafter in names


@dataclass(frozen=True)
class Draft:
    """Proposed tokens for the positions start, start + 1, ... of one sequence.

    survival[i] estimates the probability that tokens[: i + 1] are all accepted; it never rises along the draft. votes[i] names
    those members of a collective that were for tokens[i], records says how often each member was right in this sequence
    lately, weights what its vote counts for at that rate, asked how many guesses (or whole drafts) each was asked for, 0 for one that
    rested, and spent the seconds that it took over them; all are empty for a drafter that is no collective.
    """

    start: int
    prefix_id: int
    tokens: tuple[int, ...] = ()
    survival: tuple[float, ...] = ()
    source: str = ""
    votes: tuple[tuple[str, ...], ...] = ()
    records: tuple[tuple[str, float], ...] = ()
    asked: tuple[tuple[str, int], ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    spent: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if len(self.survival) != len(self.tokens):
            raise ValueError(f"survival has {len(self.survival)} entries for {len(self.tokens)} tokens: give one each")

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def empty(cls, sequence: Sequence, source: str = "") -> Draft:
        return cls(len(sequence.tokens), sequence.prefix_id, source=source)

    def stale(self, sequence: Sequence) -> bool:
        """Written for another text than the sequence now holds. Both halves are needed: see design, 'Types'."""
        return self.start != len(sequence.tokens) or self.prefix_id != sequence.prefix_id

    def cut(self, length: int) -> Draft:
        """The first `length` tokens of this draft."""
        if length >= len(self.tokens):
            return self
        return replace(self, tokens=self.tokens[:length], survival=self.survival[:length], votes=self.votes[:length])


@dataclass(frozen=True)
class Verdict:
    """What the target says of a draft: how many of its tokens it accepts, and those tokens plus exactly one more."""

    accepted: int
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.tokens) != self.accepted + 1:
            raise ValueError(f"a verdict that accepts {self.accepted} tokens carries {self.accepted + 1}, not {len(self.tokens)}")


@dataclass(frozen=True)
class Round:
    """What happened to one sequence in one engine step. All that metrics, controllers, benchmarks and traces read.

    planned is the cap k that the controller gave; drafted the tokens sent to the target; accepted how many of them
    were committed; tokens everything committed (empty while a prompt is still being prefilled). proposed is the whole
    draft, which begins with what was sent; survival is that of all of it. gain, cost and reason are the controller's: the
    drafted tokens that it expected to be accepted, the seconds that it expected them to add to the step, and why it sent so
    many. The step_* fields describe the whole step and are equal for all its rounds: sequences and tokens in the target's
    pass, and the seconds of drafting, verifying and everything else. Of the seconds of drafting step_overlap_seconds passed while
    the target did something else, so that a step lasts draft - overlap + verify + other. pipeline is how drafting and verifying took
    turns. pool: sequences whose drafts were ready, or being written, when the pass began, its own not among them; pool_limit: so
    many ready ones at most, drafters pause there. votes, records, asked, weights and spent: see Draft. cached, told in a sequence's
    first round alone, is how many positions of its prompt had been read before, for another sequence. During step_beside_seconds of
    the pass a drafter was at work, on whichever step's drafts.
    """

    step: int
    sequence_id: int
    request_id: str
    index: int
    start: int
    planned: int
    drafted: tuple[int, ...]
    survival: tuple[float, ...]
    source: str
    accepted: int
    tokens: tuple[int, ...]
    prefilled: int
    finish_reason: FinishReason | None
    step_sequences: int
    step_tokens: int
    step_draft_seconds: float
    step_verify_seconds: float
    step_other_seconds: float
    target: str = ""
    votes: tuple[tuple[str, ...], ...] = ()
    records: tuple[tuple[str, float], ...] = ()
    asked: tuple[tuple[str, int], ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    spent: tuple[tuple[str, float], ...] = ()
    proposed: tuple[int, ...] = ()
    gain: float = 0.0
    cost: float = 0.0
    reason: str = ""
    cached: int = 0
    step_overlap_seconds: float = 0.0
    pipeline: str = "serial"
    pool: int = 0
    pool_limit: int = 0
    step_beside_seconds: float = 0.0

    @property
    def fed(self) -> int:
        """Tokens of this sequence in the target's pass."""
        return self.prefilled + len(self.drafted) + bool(self.tokens)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Round:
        known = {f.name for f in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown fields in a round: {sorted(unknown)}")
        frozen: dict[str, Any] = {k: _frozen(v) for k, v in data.items()}
        return cls(**frozen)


def _frozen(value: Any) -> Any:
    """Lists, also within lists, as tuples."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Host:
    """What a drafter learns when it is bound to a target, before any sequence starts.

    tokenizer offers encode, decode and `differences(other)`; max_tokens is the most positions that all of this target's
    sequences together may hold, so a drafter with a cache of its own can size it. target is the name that the target is
    served under, which its sequences carry; model is that of its weights, by which a drafter may know settings that were
    calibrated for it. hidden_size is that of the hidden states that the target can give; 0 for one that gives none.
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


@runtime_checkable
class Drafter(Protocol):
    """An object that proposes. Subclass it: only `propose` must be written.

    A drafter keeps its own state by `sequence.id`, catches up by itself on tokens that it has not seen, and must
    not change the sequence. Whatever it proposes, the text stays the target's: it can only cost or save time.

    serves_several says that it may be bound to several targets, one after another, and then drafts for the sequences of
    all of them; sequence.target tells whose. wants_hidden asks the target for its hidden states; a drafter must be able to do
    without those that it was not given. drafts_ahead says that `propose_ahead` may be asked.
    """

    name: str = "drafter"
    serves_several: bool = False
    wants_hidden: bool = False
    drafts_ahead: bool = False

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

    def heed(self, floor: float | None) -> None:
        """A draft need not go on when the probability that all of it is right falls under this; None leaves it to the drafter."""
        return None

    def receive(self, sequence: Sequence, start: int, hidden: Any) -> None:
        """The target's last hidden states at positions start, start + 1, ..., which stand: [n, hidden_size]. Before `commit`."""
        return None

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        """The target accepted so many tokens of the draft; sequence.tokens already holds them and the one more."""
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


@dataclass(frozen=True)
class Work:
    """What a target does with one sequence in one pass: `count` committed tokens from `start`, then the draft.

    The draft is empty unless the committed tokens are thereby complete; only then is there a verdict. cached: see Round.
    """

    sequence: Sequence
    start: int
    count: int
    draft: Draft
    cached: int = 0

    @property
    def complete(self) -> bool:
        return self.start + self.count == len(self.sequence.tokens)

    @property
    def num_tokens(self) -> int:
        return self.count + len(self.draft)


@runtime_checkable
class Target(Protocol):
    """The model whose output is reproduced. Full logits never cross this seam.

    rows is the accounting of its KV cache (a `rows.RowPool`): the scheduler asks it for room, the target reads it.
    hidden_size is that of the hidden states that it can give; 0 for a target that gives none.

    A target may also have `inherit(sequence, of, length) -> bool`: give the row of a sequence that was just started the first
    `length` positions of another one's, by `RowPool.inherit`; False when that cannot be. Without it every prompt is read.
    """

    name: str
    vocab_size: int
    max_model_len: int
    rows: Any
    tokenizer: Any
    end_ids: frozenset[int]
    hidden_size: int

    def start(self, sequence: Sequence) -> None: ...

    def verify(self, works: list[Work], give: Callable[[Sequence, int, Any], None] | None = None) -> list[Verdict | None]:
        """One pass over all works; a verdict for each work that is complete, None for a prompt still in prefill.

        give, where it is asked for, is called for each work with the last hidden states of the positions that it fed and that
        stand: a drafter's `receive`.
        """
        ...

    def stop(self, sequence: Sequence) -> None: ...

    def close(self) -> None: ...
