"""A lane without a thread, which runs jobs at moments of a chooser's choice, so that a seed stands for one interleaving; and what else the
tests of pipelines need: manners at random, drafters that look ahead, that fail and that hang."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from covey.config import EngineConfig
from covey.control import Controller
from covey.drafters.guesser import Growing, Guess, Guesser
from covey.engine.served import Served
from covey.pipeline import Desk, Overlapped
from covey.pipeline.manner import Ahead, Halves, Here, Manner, Measured
from covey.rows import BLOCK_SIZE
from covey.types import Drafter, Host


class VirtualLane:
    """Jobs run when the engine submits, waits or asks, as many as the chooser says. hang: the chance that a wait finds a job hung."""

    name = "virtual"

    def __init__(self, chooser: random.Random, hang: float = 0.0) -> None:
        self._chooser, self._hang = chooser, hang
        self._jobs: deque[Callable[[], None]] = deque()
        self.abandoned = False

    @property
    def idle(self) -> bool:
        return not self._jobs

    def submit(self, job: Callable[[], None]) -> None:
        assert not self.abandoned, "a drafter that hung is called again"
        self._jobs.append(job)
        self._pass_time()

    def wait(self, done: Callable[[], bool], patience: float) -> bool:
        while not done():
            if self._chooser.random() < self._hang:
                return False
            self._jobs.popleft()()  # an IndexError here is a wait for something that nobody does
        return True

    def run_here(self, job: Callable[[], None], patience: float) -> bool:
        if not self.wait(lambda: self.idle, patience):
            return False
        job()
        return True

    def overdue(self, patience: float) -> bool:
        self._pass_time()
        return False

    def abandon(self, late: Callable[[], None]) -> None:
        self.abandoned = True
        self._jobs.clear()

    def close(self) -> None:
        assert self.abandoned or self.idle

    def _pass_time(self) -> None:
        while self._jobs and self._chooser.random() < 0.5:
            self._jobs.popleft()()


class AnyManner:
    """Another manner at any step."""

    def __init__(self, chooser: random.Random) -> None:
        self._chooser, self._manners = chooser, (Manner(), Here(), Halves(), Halves(), Ahead(), Ahead())

    def manner(self, sequences: int, able: bool) -> Manner:
        manner = self._chooser.choice(self._manners)
        return manner if able or not manner.ahead else self._manners[0]

    def measured(self, happened: Measured) -> None:
        """It does not care."""


class Foreseeing(Guesser):
    """Guesses what the target will say, by heart, but for one token in so many; fails and drafts nonsense with the given chances."""

    name = "foreseeing"

    def __init__(self, texts: dict[tuple[int, ...], list[int]], chooser: random.Random, wrong: float = 0.1, fails: float = 0.0) -> None:
        super().__init__()
        self.texts, self.chooser, self.wrong, self.fails = texts, chooser, wrong, fails
        self.alive: set[int] = set()
        self.learned: list[bool] = []
        self.calls = 0

    def start(self, sequence: Any) -> None:
        assert sequence.id not in self.alive
        self.alive.add(sequence.id)

    def stop(self, sequence: Any) -> None:
        super().stop(sequence)
        self.alive.remove(sequence.id)

    def guess(self, growing: list[Growing]) -> list[Guess | None]:
        self.calls += 1
        if self.chooser.random() < self.fails:
            raise RuntimeError("deliberate")
        return [self._guess(draft) for draft in growing]

    def _guess(self, draft: Growing) -> Guess | None:
        sequence = draft.sequence
        assert sequence.id in self.alive
        at = draft.start - len(sequence.prompt) + len(draft.tokens)
        known = self.texts.get(sequence.prompt, [])[at : at + 1]
        if not known:
            return None
        token = known[0] if self.chooser.random() >= self.wrong else self.chooser.choice([-1, 3, 10_000])
        return Guess(token, 0.9, evidence=token)

    def learn(self, sequence: Any, evidence: Any, token: int) -> None:
        self.learned.append(evidence == token)


def served(target: Any, drafter: Drafter, lane: Any, chooser: Any, controller: Controller, **options: Any) -> Served:
    """A target that is served through an overlapped pipeline of these parts. options: num_blocks, limit, and EngineConfig's."""
    num_blocks, limit = options.pop("num_blocks", 64), options.pop("limit", None)
    config = EngineConfig(**options)
    target.allocate(num_blocks)
    host = Host(
        tokenizer=target.tokenizer,
        vocab_size=target.vocab_size,
        max_model_len=target.max_model_len,
        max_num_seqs=config.max_num_seqs,
        max_tokens=num_blocks * BLOCK_SIZE,
        device=str(target.device),
        dtype=target.dtype,
        end_ids=target.end_ids,
        target=target.name,
        model=target.name,
        hidden_size=target.hidden_size,
    )
    drafter.bind(host)
    pipeline = Overlapped(target, Desk(drafter, lane, config.drafter_timeout), limit or config.max_num_seqs, chooser)
    made = Served(target.name, pipeline, target.max_model_len, config)
    made.engine.controller = controller
    return made
