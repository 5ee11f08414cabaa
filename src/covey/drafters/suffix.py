"""A training-free drafter: what followed the last time that a text read like this.

It reads in the sequence's own prompt and output, which no other sequence sees, and, when it is given one, in a corpus of
what the target wrote before. Good where a text repeats itself or its prompt: summaries, retrieval, edits, code; and, with
a corpus, where the target says what it often says. It knows nothing of models.

    LLM("smollm2", drafters=[SuffixDrafter(min_survival=0.1)])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from covey.drafters.automaton import SuffixAutomaton
from covey.drafters.corpus import Corpus
from covey.drafters.guesser import Growing, Guess, Guesser
from covey.drafters.hits import HitTable
from covey.drafters.readers import AGREED, ALONE, OPPOSED, CorpusReader, Forecast, Reader, TextReader
from covey.errors import UnsupportedError
from covey.types import Host, Sequence


class _Scored(NamedTuple):
    """A forecast, whose it is, where it is scored, and its estimated probability."""

    token: int
    reader: Reader
    table: HitTable
    kind: int
    probability: float


@dataclass
class _Memory:
    """What is kept of one sequence: its text, and the readers of the draft under way, which have read so many of its tokens."""

    text: SuffixAutomaton = field(default_factory=SuffixAutomaton)
    readers: list[Reader] = field(default_factory=list)
    read: int = 0


class SuffixDrafter(Guesser):
    """Proposes what followed the longest suffix of the text that occurred before, in the text itself or in a corpus.

    Where the two expect different tokens, the one with the higher estimated probability is drafted.

    corpus: what the target wrote before, with the description that it was saved with; None reads in the text alone.
    min_match: the fewest tokens of context to draft from within the text. min_survival: a draft ends before the token with
    which the estimated probability of being right so far falls under this, so that a longer, better supported match gives
    a longer draft; 0 always fills the length. The best value is what one more drafted token costs the target, as a
    share of what an accepted one saves: nearly 0 where a pass costs the same for a few tokens more, about a sixth in a
    batch of eight on a small CPU. Replayed with either cost, no kind of text lost by the default. Raises ValueError for
    an option out of range.

    Suffix drafting with counts as in SuffixDecoding (arXiv 2411.04975), a text's own tree before a global one, on an
    automaton as in SAM-Decoding (arXiv 2411.10666).
    """

    name = "suffix"
    serves_several = True
    looks_back = 0  # it reads everything, at a microsecond a token

    def __init__(self, corpus: Corpus | None = None, *, min_match: int = 1, min_survival: float = 0.15) -> None:
        if not isinstance(min_match, int) or min_match < 1:
            raise ValueError(f"min_match={min_match!r}: min_match must be a whole number from 1")
        if not 0 <= min_survival < 1:
            raise ValueError(f"min_survival={min_survival!r}: min_survival must be from 0 to below 1")
        super().__init__()
        self.corpus = corpus
        self.name = "suffix" if corpus is None else f"suffix:{corpus.description.get('target', 'corpus')}"
        self.min_match = min_match
        self.min_survival = min_survival
        self._tables: dict[str, dict[type[Reader], HitTable]] = {}  # by target
        self._memories: dict[int, _Memory] = {}

    @property
    def bytes_per_token(self) -> int:
        """Measured on texts of SmolLM2 (about 480): states, transitions and counts, in the host's memory."""
        return 512

    @property
    def parameter_bytes(self) -> int:
        """What the corpus takes, in the host's memory."""
        return 0 if self.corpus is None else self.corpus.nbytes

    def tables(self, target: str) -> dict[type[Reader], HitTable]:
        """How often the readers were right with a target."""
        if target not in self._tables:
            self._tables[target] = {TextReader: TextReader.hit_table(), CorpusReader: CorpusReader.hit_table()}
        return self._tables[target]

    def bind(self, host: Host) -> None:
        """Raises UnsupportedError for a corpus of another vocabulary."""
        if self.corpus is not None and self.corpus.vocabulary not in (None, host.tokenizer.fingerprint):
            why = "its corpus is of another vocabulary than the target's"
            raise UnsupportedError(f"drafters={self.name!r}: {why}; build one with covey record and covey corpus")

    def start(self, sequence: Sequence) -> None:
        """The text is read at the first proposal, so that a sequence that never drafts costs nothing."""
        self._memories[sequence.id] = _Memory()

    def inherit(self, sequence: Sequence, of: Sequence, length: int) -> None:
        """A text that has ended and goes on in another one is handed over; a part of one is sooner read than copied."""
        memory = self._memories.get(of.id)
        if of.finished and memory is not None and 0 < memory.text.size <= length:
            self._memories[sequence.id] = self._memories.pop(of.id)

    def stop(self, sequence: Sequence) -> None:
        super().stop(sequence)
        self._memories.pop(sequence.id, None)

    def close(self) -> None:
        super().close()
        self._memories.clear()

    def open(self, sequence: Sequence, length: int) -> Growing:
        """The text is read up to its end, and the readers stand there."""
        memory = self._memories.get(sequence.id)
        if memory is None or memory.text.size > len(sequence.tokens):  # not started, or grown shorter
            memory = self._memories[sequence.id] = _Memory()
        draft = super().open(sequence, length)
        memory.text.extend(sequence.tokens[memory.text.size :])
        memory.readers, memory.read = [TextReader(memory.text, self.min_match)], 0
        if self.corpus is not None:
            memory.readers.append(CorpusReader(self.corpus, sequence.tokens))
        return draft

    def shifted(self, sequence: Sequence, count: int) -> None:
        """The readers stand where they stood; the text is read up to here when another draft is opened."""
        memory = self._memories[sequence.id]
        memory.read = max(0, memory.read - count)

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        return [self._guess(draft) for draft in growing]

    def learn(self, sequence: Sequence, evidence: list[_Scored], token: int) -> None:
        """All readers are scored, whoever was the likeliest."""
        for forecast in evidence:
            forecast.table.record(forecast.kind, forecast.token == token)

    def _guess(self, draft: Growing) -> Guess | None:
        memory = self._memories[draft.sequence.id]
        for token in draft.tokens[memory.read :]:
            for reader in memory.readers:
                reader.advance(token)
        memory.read = len(draft.tokens)
        found = self._forecasts(memory.readers, self.tables(draft.sequence.target))
        if not found:
            return None
        best = found[0]
        others = tuple((other.token, other.probability) for other in found[1:] if other.token != best.token)
        return Guess(best.token, best.probability, found, _likely(best) if self.tells_likely else (), others)

    @staticmethod
    def _forecasts(readers: list[Reader], tables: dict[type[Reader], HitTable]) -> list[_Scored]:
        """What the readers expect next, the likeliest first; of equals the text's own."""
        found = [(reader, forecast) for reader in readers if (forecast := reader.forecast()) is not None]
        company = _company([forecast for _, forecast in found])
        made = []
        for reader, forecast in found:
            table, kind = tables[type(reader)], forecast.kind_in(company)
            made.append(_Scored(forecast.token, reader, table, kind, table.probability(kind)))
        return sorted(made, key=lambda forecast: -forecast.probability)


def _company(forecasts: list[Forecast]) -> int:
    if len(forecasts) < 2:
        return ALONE
    return AGREED if len({forecast.token for forecast in forecasts}) == 1 else OPPOSED


def _likely(best: _Scored) -> tuple[tuple[int, float], ...]:
    """What followed the context, by counts, the forecast first: scaled so that it has its estimated probability, and all at most 1.

    Counts are of tokens that were chosen, so what a request's sampling does is in them already.
    """
    counts = best.reader.counts()
    followed, total = counts[0][1], sum(count for _, count in counts)
    scale = min(best.probability / followed, 1 / total)
    return tuple((token, count * scale) for token, count in counts)
