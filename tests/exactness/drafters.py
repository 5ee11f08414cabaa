"""Drafters with a known fate, for the tests of exactness: always right, always wrong, right for a while, broken."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from covey.drafters import CollectiveDrafter, NestedDrafter, SuffixDrafter
from covey.model.deltas import Basis, save_deltas
from covey.model.load import load
from covey.model.nested import NestedDraft
from covey.types import Branch, Draft, Drafter, Host, Sequence


class ScriptedDrafter(Drafter):
    """Knows what the target will say, and drafts that (offset 0) or something else at every `wrong_every`-th position."""

    def __init__(self, texts: dict[tuple[int, ...], list[int]], wrong_every: int = 0) -> None:
        self.name = f"scripted-{wrong_every}"
        self.texts, self.wrong_every = texts, wrong_every
        self.vocab_size = 0

    def bind(self, host: Host) -> None:
        self.vocab_size = host.vocab_size

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        return [self._draft(s, length) for s, length in zip(sequences, lengths, strict=True)]

    def _draft(self, sequence: Sequence, length: int) -> Draft:
        known = self.texts.get(sequence.prompt, [])[sequence.num_output : sequence.num_output + length]
        tokens = [self._spoil(sequence.num_output + i, token) for i, token in enumerate(known)]
        return Draft(len(sequence.tokens), sequence.prefix_id, tuple(tokens), (1.0,) * len(tokens), self.name)

    def _spoil(self, index: int, token: int) -> int:
        return (token + 1) % self.vocab_size if self.wrong_every and (index + 1) % self.wrong_every == 0 else token


class BranchingDrafter(ScriptedDrafter):
    """What is right where its draft is wrong stands beside it, mostly; and there, and where it is right, what is wrong, too."""

    def _draft(self, sequence: Sequence, length: int) -> Draft:
        draft = super()._draft(sequence, length)
        known = self.texts.get(sequence.prompt, [])[sequence.num_output :]
        chooser = random.Random(sequence.num_output)
        survival = [0.9 ** (place + 1) for place in range(len(draft))]
        branches = []
        for place in range(min(len(draft) + 1, len(known))):
            taken = {*draft.tokens[place : place + 1]}
            offered = [known[place]] if chooser.random() < 0.8 else []
            offered += chooser.sample(range(3, self.vocab_size), 2)
            for token in dict.fromkeys(offered):
                if token not in taken:
                    branches.append(Branch(place, token, chooser.random() * (survival[place - 1] if place else 1.0)))
        return replace(draft, survival=tuple(survival), branches=tuple(branches))


class BrokenDrafter(Drafter):
    """Raises, or proposes junk of the given kind."""

    def __init__(self, kind: str) -> None:
        self.name = f"broken-{kind}"
        self.kind = kind

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        if self.kind == "raises":
            raise RuntimeError("deliberate")
        if self.kind == "too few":
            return []
        tokens = {"negative": (-1, 5), "beyond the vocabulary": (1 << 30,), "too long": (1,) * 1000, "stale": (1, 2)}[self.kind]
        shift = self.kind == "stale"
        return [Draft(len(s.tokens) - shift, s.prefix_id, tokens, (1.0,) * len(tokens), self.name) for s in sequences]


class RandomDepths(NestedDrafter):
    """Changes its mind about thresholds at every proposal, so that exits of one sequence lag in all ways."""

    def propose(self, sequences: list[Sequence], lengths: list[int]) -> list[Draft]:
        chooser = random.Random(sum(len(s.tokens) for s in sequences))
        for target, found in self.calibrations.items():
            self.calibrations[target] = replace(found, thresholds=tuple(chooser.choice([0.0, 0.3, 0.7, 1.0]) for _ in found.thresholds))
        return super().propose(sequences, lengths)


def save_untrained(
    place: Path, target: str, exits: tuple[int, ...], kind: str = "standalone", dtype: str = "float64", tokens: range = range(3, 120)
) -> Path:
    """The folder of a nested draft as training begins with it: so many of the target's layers, most tokens unknown to it."""
    base = load(target, dtype=dtype, device="cpu", attention="sdpa")
    NestedDraft.of(base, exits[-1], exits, tokens=list(tokens), kind=kind).save(place, dtype=base.dtype)
    return place


def untrained_draft(target: str, kind: str, dtype: str) -> NestedDrafter:
    """An untrained draft whose exits are changed at every proposal."""
    with tempfile.TemporaryDirectory() as folder:
        save_untrained(Path(folder), target, (1, 2), kind, dtype, tokens=range(100))
        return RandomDepths(folder, base=load(target, dtype=dtype, device="cpu"), dtype=dtype, device="cpu")


def save_specialist(place: Path, basis: Path, target: str, dtype: str = "float64", seed: int = 0, rank: int = 3, parts: str = "") -> Path:
    """The folder of a specialist with random deltas, on those linear layers whose names hold `parts`."""
    draft = NestedDraft.load(basis, load(target, dtype=dtype, device="cpu", attention="sdpa"))
    generator = torch.Generator().manual_seed(seed)
    layers = [(name, m) for name, m in draft.named_modules() if isinstance(m, nn.Linear) and parts in name]
    shapes = {f"{name}.weight": ((m.out_features, rank), (rank, m.in_features)) for name, m in layers}
    save_deltas(place, {name: tuple(torch.randn(s, generator=generator) / 4 for s in both) for name, both in shapes.items()})  # type: ignore[misc]
    draft.config = replace(draft.config, basis=Basis.of(basis, place))
    draft.save_config(place)
    return place


def stacked_kin(target: str, kind: str, dtype: str, vote: str = "token") -> CollectiveDrafter:
    """An untrained draft and two specialists of it, who are run as one, in company of another drafter."""
    with tempfile.TemporaryDirectory() as folder:
        basis = save_untrained(Path(folder) / "basis", target, (1, 2), kind, dtype, tokens=range(100))
        specialists = [save_specialist(Path(folder) / f"specialist-{n}", basis, target, dtype, seed=n) for n in (1, 2)]
        base = load(target, dtype=dtype, device="cpu")
        members = [NestedDrafter(place, base=base, thresholds=(0.4,), dtype=dtype, device="cpu") for place in (basis, *specialists)]
        return CollectiveDrafter([SuffixDrafter(), *members], vote=vote)
