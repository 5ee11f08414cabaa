"""What a guess of kin costs in a vote in lockstep: run as one stack, one after another, of one of them alone, and of one in a stack
whose others rest.

    python benchmarks/stacked.py --json stacked.json        # under a minute; nothing else should run

Drafts of a few tokens of texts of made-up tokens, whose hidden states are made up, too: what is measured is time. The ways take turns,
so that a noisy second is noise for all; ratios are of the same turn. Everybody is asked everywhere. The last line is a summary.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from covey import SamplingParams, provenance
from covey.drafters import CollectiveDrafter, NestedDrafter, shipped_draft
from covey.model.load import LoadedModel, load
from covey.types import Host, Sequence

KIN = "smollm2,smollm2-code,smollm2-dialogue,smollm2-translation"


class ByItself(NestedDrafter):
    """Is not put together with anybody."""

    kin = None


def collectives(base: LoadedModel, names: list[str], max_num_seqs: int) -> dict[str, CollectiveDrafter]:
    folders = [shipped_draft(name) or Path(name) for name in names]
    host = Host(
        tokenizer=base.tokenizer, vocab_size=base.vocab_size, max_model_len=2048, max_num_seqs=max_num_seqs, max_tokens=2048 * max_num_seqs,
        device=str(base.device), dtype=str(base.dtype), end_ids=base.end_ids, model=base.name, hidden_size=base.config.hidden_size,
    )  # fmt: skip
    made = {
        "stacked": CollectiveDrafter([NestedDrafter(folder, base=base) for folder in folders], thrifty=False),
        "one after another": CollectiveDrafter([ByItself(folder, base=base) for folder in folders], thrifty=False),
        "one alone": CollectiveDrafter([ByItself(folders[0], base=base)], thrifty=False),
        "one of a stack": CollectiveDrafter([NestedDrafter(folder, base=base) for folder in folders], thrifty=False),
    }
    for member in made["one of a stack"].members[1:]:
        member.takes_part = False
    for collective in made.values():
        collective.heed(0.0, 0.0)  # drafts are as long as they may be
        collective.bind(host)
    return made


class Texts:
    """The same growing texts for one way to guess."""

    def __init__(self, collective: CollectiveDrafter, count: int, context: int, hidden_size: int, vocab_size: int) -> None:
        self.collective, self.hidden_size, self.vocab_size = collective, hidden_size, vocab_size
        self.chooser = torch.Generator().manual_seed(0)
        params = SamplingParams(max_tokens=1500, ignore_eos=True)
        self.sequences = [Sequence(i, tuple(self._tokens(context)), params) for i in range(count)]
        for sequence in self.sequences:
            collective.start(sequence)
            self._receive(sequence, 0, context)

    def _tokens(self, count: int) -> list[int]:
        return torch.randint(100, self.vocab_size, (count,), generator=self.chooser).tolist()

    def _receive(self, sequence: Sequence, start: int, count: int) -> None:
        self.collective.receive(sequence, start, torch.randn(count, self.hidden_size, generator=self.chooser))

    def guess(self, length: int) -> float:
        """Draft, and commit half of it; the seconds of the drafting, a token."""
        began = time.perf_counter()
        drafts = self.collective.propose(self.sequences, [length] * len(self.sequences))
        seconds = time.perf_counter() - began
        assert all(len(draft) == length for draft in drafts)
        for sequence, draft in zip(self.sequences, drafts, strict=True):
            start, accepted = len(sequence.tokens), length // 2
            sequence.commit([*draft.tokens[:accepted], *self._tokens(1)])
            self._receive(sequence, start, accepted + 1)
            self.collective.commit(sequence, draft, accepted)
        return seconds / length

    def close(self) -> None:
        for sequence in self.sequences:
            self.collective.stop(sequence)


def measure(made: dict[str, CollectiveDrafter], base: LoadedModel, count: int, given: argparse.Namespace) -> dict[str, Any]:
    texts = {name: Texts(each, count, given.context, base.config.hidden_size, base.vocab_size) for name, each in made.items()}
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(given.turns + 3):
        for name, each in texts.items():
            taken = each.guess(given.length)
            if turn >= 3:  # the first ones read the texts
                seconds[name].append(taken)
    for each in texts.values():
        each.close()
    alone = seconds["one alone"]
    return {
        "sequences": count,
        "ms": {name: _spread([1e3 * second for second in each]) for name, each in seconds.items()},
        "over_one_alone": {name: _spread([mine / one for mine, one in zip(each, alone, strict=True)]) for name, each in seconds.items()},
        "seconds": seconds,
    }


def _spread(values: list[float]) -> dict[str, Any]:
    low, _, high = quantiles(values, n=4)
    return {"median": round(median(values), 3), "quartiles": [round(low, 3), round(high, 3)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kin", default=KIN, help="drafts of one basis, separated by commas: names or folders; the first is the one alone")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--length", type=int, default=4, help="tokens of a draft")
    parser.add_argument("--context", type=int, default=300)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    base, batches = load(given.target, dtype=given.dtype), [int(each) for each in given.batch.split(",")]
    made = collectives(base, given.kin.split(","), max(batches))
    document = {
        **provenance.about(),
        "threads": torch.get_num_threads(),
        "weight_bytes": {name: each.parameter_bytes for name, each in made.items()},
        "cells": [measure(made, base, count, given) for count in batches],
    }
    given.json.write_text(json.dumps(document, indent=1) + "\n")
    kept = ("sequences", "ms", "over_one_alone")
    summary = {"weight_bytes": document["weight_bytes"], "cells": [{name: cell[name] for name in kept} for cell in document["cells"]]}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
