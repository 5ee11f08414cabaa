"""Trains a nested draft on recordings: on transformers' Trainer, resumable, with curves and a model card.

train_nested(NestedSettings(recordings=(Path("recorded"),), output=Path("draft"), target="smollm2"))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.trainer_utils import set_seed

from covey.model.atomic import Report, silent
from covey.model.load import load
from covey.model.nested import NestedDraft
from covey.train.dataset import frequent_tokens, split
from covey.train.fitting import fit
from covey.train.schedule import TrainSettings


@dataclass(frozen=True, kw_only=True)
class NestedSettings(TrainSettings):
    """What is trained on what, and how; see also TrainSettings.

    kind, layers and exits: see NestedDraft. head_size: how many of the most frequent tokens the draft knows, 0 for all.
    """

    target: str
    kind: str = "standalone"
    layers: int = 6
    exits: tuple[int, ...] = (2, 4, 6)
    head_size: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least_one("layers")
        self.check_kind(self.kind)


def train_nested(settings: NestedSettings, report: Report = silent, tell: Callable[[str], None] = lambda line: None) -> NestedDraft:
    """Train, or go on where a training with the same settings was cut; write the draft to settings.output.

    report is told how much is done, tell gets a line for each evaluation. Ctrl-C ends it after the step at hand, with
    everything saved, and raises KeyboardInterrupt.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    base = load(settings.target, dtype="float32", device=settings.device, attention="sdpa")
    recordings = settings.read_recordings(base, settings.kind)
    trained, held_out = split(recordings, settings.max_length, settings.batch_size)
    set_seed(settings.seed)
    tokens = frequent_tokens(trained.texts, settings.head_size) if settings.head_size else None
    draft = NestedDraft.of(base, settings.layers, settings.exits, tokens, settings.kind)
    draft.decoder.embed_tokens.requires_grad_(False)
    fitted = fit(settings, draft, trained, held_out, base.device.type, report, tell)
    done = fitted.described(settings, settings.exits, recordings)
    draft.config = replace(draft.config, training=done)
    draft.save(settings.output)
    fitted.write_log(settings.exits, settings.output)
    (settings.output / "README.md").write_text(_card(draft, done), "utf-8")
    return draft


def _card(draft: NestedDraft, done: dict[str, Any]) -> str:
    settings, held_out = done["settings"], done["held_out"]
    rows = "\n".join(f"| {e} | {held_out[f'agreement_{e}']:.1%} |" for e in draft.config.exits)
    kinds = {"standalone": "A standalone draft of", "self": "A draft that reads its target's hidden states, of"}
    return f"""# A nested draft for {draft.config.base}

{kinds[draft.config.kind]} {draft.config.exits[-1]} layers,
with exits after {", ".join(map(str, draft.config.exits))}; it knows {len(draft.tokens):,} of
{draft.config.vocab_size:,} tokens. Trained by `covey train nested` on {done["tokens_seen"]:,} tokens of what the target itself
answers to prompts ({done["texts"]:,} texts; loss: {settings["ce"]:g} x cross-entropy + {settings["kl"]:g} x divergence from the target).

It reads the input embedding of `{draft.config.base}` (SHA-256 {draft.config.embedding_sha256[:16]}...), which is not in this folder.
It is a drafter: it proposes tokens that the target accepts or not, and is not meant to be read by itself.

Agreement with the target's own next token, on texts held out:

| exit | agreement |
|---|---|
{rows}

![curves](curves.png)
"""
