"""Trains a nested draft on recordings: on transformers' Trainer, resumable, with curves and a model card.

train_nested(NestedSettings(recordings=(Path("recorded"),), output=Path("draft"), target="smollm2"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import set_seed

from covey.errors import CoveyError
from covey.model.atomic import Report, silent
from covey.model.load import LoadedModel, load
from covey.model.nested import NestedConfig, NestedDraft, is_nested, read_config
from covey.train.dataset import frequent_tokens, split
from covey.train.fitting import fit
from covey.train.recording import Text
from covey.train.schedule import TrainSettings

# What a new draft is made like where nothing else is said.
SHAPE: dict[str, Any] = {"kind": "standalone", "layers": 6, "exits": (2, 4, 6), "head_size": 8192}


@dataclass(frozen=True, kw_only=True)
class NestedSettings(TrainSettings):
    """What is trained on what, and how; see also TrainSettings.

    start: what the draft begins as: a model of the target's vocabulary whose layers are taken, None for the target itself, or the folder
    of a nested draft, to be trained on. kind, layers and exits: see NestedDraft. head_size: how many of the most frequent tokens the draft
    knows, 0 for all. None for any of these four is what SHAPE says; a draft that is trained on has them already, and they must be None.
    """

    target: str
    start: str | None = None
    kind: str | None = None
    layers: int | None = None
    exits: tuple[int, ...] | None = None
    head_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers is not None:
            self.check_at_least_one("layers")
        given = [name for name in SHAPE if getattr(self, name) is not None]
        if given and self.trains_on:
            why = f"start={self.start!r} is a draft that has its own already; leave it out, or begin anew"
            raise CoveyError(f"{given[0]}={getattr(self, given[0])!r}: {why}")

    @property
    def trains_on(self) -> bool:
        """Whether it begins as a draft."""
        return self.start is not None and is_nested(Path(self.start))


def train_nested(settings: NestedSettings, report: Report = silent, tell: Callable[[str], None] = lambda line: None) -> NestedDraft:
    """Train, or go on where a training with the same settings was cut; write the draft to settings.output.

    report is told how much is done, tell gets a line for each evaluation. Ctrl-C ends it after the step at hand, with
    everything saved, and raises KeyboardInterrupt.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    begun = _begun(settings)
    kind = _shape(settings)["kind"] if begun is None else begun.kind
    settings.check_kind(kind)
    name = settings.start or settings.target if begun is None else begun.base
    base = load(name, dtype="float32", device=settings.device, attention="sdpa")
    recordings = settings.read_recordings(base, kind)
    trained, held_out = split(recordings, settings.max_length, settings.batch_size)
    set_seed(settings.seed)
    draft = _new(settings, base, trained.texts) if begun is None else NestedDraft.load(Path(str(settings.start)), base).train()
    draft.requires_grad_(True).decoder.embed_tokens.requires_grad_(False)
    exits = draft.config.exits
    fitted = fit(settings, draft, trained, held_out, base.device.type, report, tell, compared=begun is not None)
    done = fitted.described(settings, exits, recordings)
    done["tokens_seen_before"] = 0 if begun is None else _seen(begun.training)
    draft.config = replace(draft.config, training=done, calibrations={})  # it is another draft now
    draft.save(settings.output)
    fitted.write_log(exits, settings.output)
    (settings.output / "README.md").write_text(_card(draft, done), "utf-8")
    return draft


def _begun(settings: NestedSettings) -> NestedConfig | None:
    """What the draft is whose training goes on; None for a new one. Raises CoveyError for a specialist."""
    if settings.start is None or not settings.trains_on:
        return None
    begun = read_config(Path(settings.start))[0]
    if begun.basis is not None:
        raise CoveyError(f"start={settings.start!r}: it is a specialist; name the draft that it was made from")
    return begun


def _shape(settings: NestedSettings) -> dict[str, Any]:
    """What a new draft is to be like."""
    return {name: default if getattr(settings, name) is None else getattr(settings, name) for name, default in SHAPE.items()}


def _new(settings: NestedSettings, base: LoadedModel, texts: Iterable[Text]) -> NestedDraft:
    """A draft of the first layers of a model, that knows the tokens which are most frequent in these texts."""
    shape = _shape(settings)
    tokens = frequent_tokens(texts, shape["head_size"]) if shape["head_size"] else None
    return NestedDraft.of(base, shape["layers"], shape["exits"], tokens, shape["kind"])


def _seen(training: dict[str, Any]) -> int:
    """Tokens that a draft was trained on in all its trainings."""
    return int(training.get("tokens_seen", 0) + training.get("tokens_seen_before", 0))


def _card(draft: NestedDraft, done: dict[str, Any]) -> str:
    settings, held_out = done["settings"], done["held_out"]
    rows = "\n".join(f"| {e} | {held_out[f'agreement_{e}']:.1%} |" for e in draft.config.exits)
    before = f", after {done['tokens_seen_before']:,} in trainings before" if done["tokens_seen_before"] else ""
    kinds = {"standalone": "A standalone draft of", "self": "A draft that reads its target's hidden states, of"}
    return f"""# A nested draft for {draft.config.base}

{kinds[draft.config.kind]} {draft.config.exits[-1]} layers,
with exits after {", ".join(map(str, draft.config.exits))}; it knows {len(draft.tokens):,} of
{draft.config.vocab_size:,} tokens. Trained by `covey train nested` on {done["tokens_seen"]:,} tokens of what the target itself
answers to prompts ({done["texts"]:,} texts; loss: {settings["ce"]:g} x cross-entropy
+ {settings["kl"]:g} x divergence from the target){before}.

It reads the input embedding of `{draft.config.base}` (SHA-256 {draft.config.embedding_sha256[:16]}...), which is not in this folder.
It is a drafter: it proposes tokens that the target accepts or not, and is not meant to be read by itself.

Agreement with the target's own next token, on texts held out:

| exit | agreement |
|---|---|
{rows}

![curves](curves.png)
"""
