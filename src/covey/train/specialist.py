"""Makes a specialist: a nested draft that exists already, fine-tuned on the target's text of some kinds of work.

What it learns are low-rank deltas (LoRA, arXiv 2106.09685) on every linear layer of the draft, by the library peft; they are
all that is kept, so that a specialist is small and its basis is held once on disk. Reading one needs no peft.

    train_specialist(SpecialistSettings(draft=Path("draft"), recordings=(Path("recorded"),), tasks=("code",), output=Path("draft-code")))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.trainer_utils import set_seed

from covey.errors import CoveyError
from covey.model.atomic import Report, silent
from covey.model.deltas import Basis, save_deltas
from covey.model.load import load
from covey.model.nested import NestedDraft, read_config
from covey.train.dataset import split
from covey.train.fitting import fit
from covey.train.schedule import TrainSettings

_ADAPTER = "specialist"


@dataclass(frozen=True, kw_only=True)
class SpecialistSettings(TrainSettings):
    """What is fine-tuned on what, and how; see also TrainSettings.

    draft: the folder of a nested draft. tasks: the kinds of work. rank: of the deltas; they count for twice what they are (alpha is
    twice the rank). dropout: of what goes into a delta while it learns.
    """

    draft: Path
    tasks: tuple[str, ...]
    rank: int = 16
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_at_least_one("rank")
        if not self.tasks:
            raise CoveyError("tasks is empty: name at least one kind of work that the recording has texts of")
        if not 0 <= self.dropout < 1:
            raise CoveyError(f"dropout={self.dropout}: dropout must be from 0 to below 1")


def train_specialist(settings: SpecialistSettings, report: Report = silent, tell: Callable[[str], None] = lambda line: None) -> NestedDraft:
    """Fine-tune, or go on where a training with the same settings was cut; write the specialist to settings.output.

    report is told how much is done, tell gets a line for each evaluation, the first before anything is learned. Ctrl-C ends it
    after the step at hand, with everything saved, and raises KeyboardInterrupt.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    config, _ = read_config(settings.draft)
    if config.basis is not None:
        raise CoveyError(f"draft={str(settings.draft)!r}: it is a specialist itself; name the draft that it was made from")
    settings.check_kind(config.kind)
    base = load(config.base, dtype="float32", device=settings.device, attention="sdpa")
    recordings = settings.read_recordings(base, config.kind)
    trained, held_out = split(recordings, settings.max_length, settings.batch_size, settings.tasks)
    draft = NestedDraft.load(settings.draft, base)
    set_seed(settings.seed)
    _add_deltas(draft, settings)
    fitted = fit(settings, draft, trained, held_out, base.device.type, report, tell, compared=True)
    done = fitted.described(settings, config.exits, recordings)
    draft.config = replace(config, training=done, basis=Basis.of(settings.draft, settings.output))
    save_deltas(settings.output, _deltas(draft))
    draft.save_config(settings.output)
    fitted.write_log(config.exits, settings.output)
    (settings.output / "README.md").write_text(_card(draft, settings.draft.name, done), "utf-8")
    return NestedDraft.load(settings.output, base)


def _add_deltas(draft: NestedDraft, settings: SpecialistSettings) -> None:
    """Put a delta of nothing beside every linear layer; nothing else wants to be trained."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise CoveyError("covey train specialist needs the package peft: pip install 'covey[train]'") from None
    linear = [name for name, module in draft.named_modules() if isinstance(module, nn.Linear)]
    wanted = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, lora_dropout=settings.dropout, target_modules=linear)
    inject_adapter_in_model(wanted, draft, _ADAPTER)


def _deltas(draft: NestedDraft) -> dict[str, tuple[Tensor, Tensor]]:
    """By the name of the weight: up, scaled, and down."""
    found = {}
    for name, module in draft.named_modules():
        layer: Any = module
        if hasattr(layer, "lora_A"):
            up = layer.lora_B[_ADAPTER].weight * layer.scaling[_ADAPTER]
            found[f"{name}.weight"] = (up, layer.lora_A[_ADAPTER].weight)
    return found


def _card(draft: NestedDraft, basis: str, done: dict[str, Any]) -> str:
    settings, before, after = done["settings"], done["before"], done["held_out"]
    names = [name for name in after if "agreement" in name]
    rows = "\n".join(f"| {_read_off(name)} | {before[name]:.1%} | {after[name]:.1%} |" for name in names)
    tasks, sha256 = ", ".join(settings["tasks"]), draft.config.basis.sha256 if draft.config.basis else ""
    return f"""# A specialist for {draft.config.base}: {tasks}

Deltas of rank {settings["rank"]} ({done["parameters"]:,} parameters) on every linear layer of the nested draft `{basis}`, which must
lie beside this folder as it did (SHA-256 {sha256[:16]}...). Trained by `covey train specialist` on {done["tokens_seen"]:,} tokens of
what the target itself answers to prompts of {tasks} ({done["texts"]:,} texts; loss: {settings["ce"]:g} x cross-entropy
+ {settings["kl"]:g} x divergence from the target).

It is a drafter: it proposes tokens that the target accepts or not, and is not meant to be read by itself.

Agreement with the target's own next token, on texts of these kinds of work held out:

| read off at | before | after |
|---|---|---|
{rows}

![curves](curves.png)
"""


def _read_off(name: str) -> str:
    """agreement_2 -> exit 2; agreement_1_token_2 -> exit 1, token 2 of a draft."""
    exit_, _, token = name.removeprefix("agreement_").partition("_token_")
    return f"exit {exit_}" + (f", token {token} of a draft" if token else "")
