"""What every exit of a nested draft would have drafted at every position of the target's texts, and whether that came.

Recorded once, while the target writes plainly; kept on disk. Knows nothing of thresholds or costs.

    seen = observe(llm, drafter, prompts, params); seen.right[:, 0].mean()
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from covey.drafters.confidence import features
from covey.drafters.guesser import Growing, Guess
from covey.drafters.nested import NestedDrafter
from covey.drafters.stepwise import Stepwise
from covey.llm import LLM
from covey.model.sampling import Choice
from covey.sampling_params import SamplingParams
from covey.types import Draft, Prompt, Sequence


@dataclass(frozen=True)
class Observations:
    """Positions of one text stand side by side and follow each other.

    text: which text, int32 [P]. features: of each exit's choice, float32 [P, exits, features] (drafters/confidence.py).
    right: whether that token came, bool [P, exits].
    """

    text: numpy.ndarray
    features: numpy.ndarray
    right: numpy.ndarray

    def of_texts(self, chosen: list[int]) -> Observations:
        kept = numpy.isin(self.text, chosen)
        return Observations(self.text[kept], self.features[kept], self.right[kept])

    @classmethod
    def joined(cls, parts: list[Observations]) -> Observations:
        return cls(*(numpy.concatenate([getattr(part, name) for part in parts]) for name in ("text", "features", "right")))

    def save(self, place: Path, described: dict[str, str]) -> None:
        partial = place.with_name(f".{place.name}.partial")
        arrays = {"text": self.text, "features": self.features, "right": self.right.astype(numpy.uint8)}
        save_file(arrays, partial, metadata=described)
        partial.replace(place)

    @classmethod
    def load(cls, place: Path, described: dict[str, str]) -> Observations | None:
        """What was saved with the same description; None where there is no such file."""
        try:
            with safe_open(place, "numpy") as held:
                same = held.metadata() == described
            arrays = load_file(place) if same else {}
        except (OSError, SafetensorError):
            return None
        return cls(arrays["text"], arrays["features"], arrays["right"].astype(bool)) if same else None


class WatchedDrafter(NestedDrafter):
    """Drafts; or, while it is watched, only notes what every exit would draft next, so that the target writes plainly."""

    notes: list[tuple[Sequence, int, list[Choice]]] | None = None

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        """While it is watched a draft is of one token, also where drafting was found not to pay."""
        return super().propose(sequences, lengths) if self.notes is None else Stepwise.propose(self, sequences, [1] * len(sequences))

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        if self.notes is None:
            return super().guess(growing)
        exits = [self.choices(stage, growing) for stage in range(self.runner.num_stages)]
        self.notes += [(draft.sequence, draft.start, [choices[i] for choices in exits]) for i, draft in enumerate(growing)]
        return [None] * len(growing)


def observe(llm: LLM, drafter: WatchedDrafter, prompts: list[Prompt], params: list[SamplingParams], first: int = 0) -> Observations:
    """Have the target answer, and note what each exit expects on the way. Texts are numbered as the prompts, from `first`."""
    drafter.notes = []
    try:
        done = llm.generate(prompts, params, progress=False)
    finally:
        notes, drafter.notes = drafter.notes, None
    numbers = {completion.request_id: first + completion.prompt_index for completion in done}
    known = [note for note in notes if note[1] < len(note[0].tokens)]  # an error ends a text before its next token
    known.sort(key=lambda note: (numbers[note[0].request_id], note[1]))
    return Observations(
        numpy.array([numbers[sequence.request_id] for sequence, _, _ in known], numpy.int32),
        numpy.array([[features(choice) for choice in exits] for _, _, exits in known], numpy.float32),
        numpy.array([[choice.token == sequence.tokens[at] for choice in exits] for sequence, at, exits in known], bool),
    )
