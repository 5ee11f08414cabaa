"""Trains a nested draft on recordings: on transformers' Trainer, resumable, with curves and a model card.

train_nested(NestedSettings(recordings=(Path("recorded"),), output=Path("draft"), target="smollm2"))
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint, set_seed

from covey.errors import CoveyError
from covey.model.atomic import Report, silent
from covey.model.load import LoadedModel, load
from covey.model.machine import has_bfloat16
from covey.model.nested import NestedDraft
from covey.train.curves import agreement_points, draw_curves, extrapolated
from covey.train.dataset import Texts, collate, frequent_tokens, split
from covey.train.objective import Objective
from covey.train.recording import Recording

LOG = "training.json"
# Losses by name: the weights of cross-entropy and of divergence. SoFT is that of S2D (arXiv 2407.01955).
LOSSES = {"both": (1.0, 1.0), "soft": (1.0, 0.0), "distil": (0.0, 1.0)}


@dataclass(frozen=True)
class NestedSettings:
    """What is trained on what, and how.

    kind, layers and exits: see NestedDraft. head_size: how many of the most frequent tokens the draft knows, 0 for all. ce, kl,
    unroll: see Objective; LOSSES has names for the first two. epochs or steps: how long; steps wins. batch_size: texts a step and device,
    accumulate: steps that make one update. max_length: tokens of a text. save_every, evaluate_every: in steps. threads: of the
    CPU; None leaves torch's choice.

    Raises CoveyError naming field and value.
    """

    recordings: tuple[Path, ...]
    output: Path
    target: str
    kind: str = "standalone"
    layers: int = 6
    exits: tuple[int, ...] = (2, 4, 6)
    head_size: int = 8192
    ce: float = LOSSES["both"][0]
    kl: float = LOSSES["both"][1]
    unroll: int = 1
    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = 8
    accumulate: int = 1
    learning_rate: float = 5e-4
    warmup: float = 0.03
    max_length: int = 1024
    save_every: int = 200
    evaluate_every: int = 200
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "unroll", "batch_size", "accumulate", "save_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise CoveyError(f"{name}={getattr(self, name)}: {name} must be at least 1")
        for name in ("ce", "kl"):
            if getattr(self, name) < 0:
                raise CoveyError(f"{name}={getattr(self, name)}: {name} must be 0 or more")
        if self.unroll > 1 and self.kind != "self":
            raise CoveyError(f"unroll={self.unroll}: only a draft of kind self reads what it left itself; leave unroll at 1")
        if not self.recordings:
            raise CoveyError("recordings is empty: name at least one folder that covey record has written")
        if not self.ce and not self.kl:
            raise CoveyError("ce=0, kl=0: there is nothing to learn; set one of them above 0")
        if self.dtype not in ("auto", "bfloat16", "float32"):
            raise CoveyError(f"dtype={self.dtype!r}: dtype must be auto, bfloat16 (mixed with float32) or float32 to train in")
        if self.max_length < 2:
            raise CoveyError(f"max_length={self.max_length}: max_length must be at least 2")


def train_nested(settings: NestedSettings, report: Report = silent, tell: Callable[[str], None] = lambda line: None) -> NestedDraft:
    """Train, or go on where a training with the same settings was cut; write the draft to settings.output.

    report is told how much is done, tell gets a line for each evaluation. Ctrl-C ends it after the step at hand, with
    everything saved, and raises KeyboardInterrupt.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    recordings = [Recording(folder) for folder in settings.recordings]
    base = load(settings.target, dtype="float32", device=settings.device, attention="sdpa")
    for recording in recordings:
        _check_recording(recording, settings, base)
    trained, held_out = split(recordings, settings.max_length, settings.batch_size)
    set_seed(settings.seed)
    tokens = frequent_tokens(trained.texts, settings.head_size) if settings.head_size else None
    draft = NestedDraft.of(base, settings.layers, settings.exits, tokens, settings.kind)
    draft.decoder.embed_tokens.requires_grad_(False)
    trainer = _trainer(settings, draft, trained, held_out, base.device.type)
    trainer.add_callback(_Telling(report, tell))
    with _interruptible(trainer) as interrupted:
        trainer.train(resume_from_checkpoint=_checkpoint(settings, _digest(trained)))
    if interrupted.happened and trainer.state.global_step < trainer.state.max_steps:
        raise KeyboardInterrupt
    final = trainer.evaluate()
    history = trainer.state.log_history
    per_step = trained.num_tokens / len(trained) * settings.accumulate
    done = {
        "settings": {name: value for name, value in _as_json(settings).items() if name not in ("recordings", "output")},
        "texts": len(trained.texts),
        "tokens_a_step": round(per_step),
        "tokens_seen": round(per_step * trainer.state.global_step),
        "steps": trainer.state.global_step,
        "parameters": sum(p.numel() for p in draft.parameters() if p.requires_grad),  # without the embedding, which is only looked up
        "ten_times_as_much": {
            f"agreement_{exit_}": extrapolated(agreement_points(history, f"eval_agreement_{exit_}", per_step)) for exit_ in settings.exits
        },
        "held_out": {name.removeprefix("eval_"): value for name, value in final.items() if "agreement" in name or name == "eval_loss"},
        "recordings": [
            {name: recording.description[name] for name in ("text", "prompts_sha256", "apart_from_sha256", "temperature", "leave_out")}
            for recording in recordings
        ],
    }
    draft.config = replace(draft.config, training=done)
    draft.save(settings.output)
    (settings.output / LOG).write_text(json.dumps(history, indent=1) + "\n", "utf-8")
    (settings.output / "README.md").write_text(_card(draft, done), "utf-8")
    draw_curves(history, per_step, settings.exits, settings.output / "curves.png")
    return draft


def _as_json(settings: NestedSettings) -> dict[str, Any]:
    """The settings as they look after a file has held them, but for what has no bearing on the draft."""
    held: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    del held["threads"]
    return held


def _check_recording(recording: Recording, settings: NestedSettings, base: LoadedModel) -> None:
    name = f"recording={str(recording.folder)!r}"
    if recording.description["vocabulary"] != base.tokenizer.fingerprint:
        raise CoveyError(f"{name}: it was written with another vocabulary than that of {settings.target!r}")
    scored = all(recording.has_scores(number) for number in recording.shards)
    if settings.kl and not (recording.scored["top"] and scored):
        raise CoveyError(f"kl={settings.kl:g}: {name} holds no likeliest tokens to distil from; set kl=0, or record with --top 20")
    if settings.kind == "self":
        width = base.config.hidden_size
        if recording.scored["hidden_size"] != width or not scored:
            raise CoveyError(f"kind='self': {name} holds no hidden states of {settings.target!r}; record with --hidden")


def _checkpoint(settings: NestedSettings, texts: str) -> str | None:
    """The last checkpoint of a training that was cut, which must have been one with the same settings and texts."""
    folder = settings.output / "checkpoints"
    described = json.dumps({**_as_json(settings), "texts": texts}, indent=1)
    place = settings.output / "settings.json"
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found and place.exists() and place.read_text("utf-8") != described:
        why = "holds a training with other settings, or on a recording that has grown since"
        raise CoveyError(f"output={str(settings.output)!r}: {why}; name another folder, or remove it")
    settings.output.mkdir(parents=True, exist_ok=True)
    place.write_text(described, "utf-8")
    return found


def _digest(texts: Texts) -> str:
    """Which texts are trained on, in which order."""
    return hashlib.sha256("\n".join(text.id for text in texts.texts).encode()).hexdigest()


def _trainer(settings: NestedSettings, draft: NestedDraft, trained: Texts, held_out: Texts, device: str) -> Trainer:
    bfloat16 = settings.dtype == "bfloat16" or (settings.dtype == "auto" and has_bfloat16(torch.device(device)))
    arguments = TrainingArguments(
        output_dir=str(settings.output / "checkpoints"),
        per_device_train_batch_size=1,  # of batches: see dataset.Texts
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,
        weight_decay=0.01,
        num_train_epochs=settings.epochs,
        max_steps=-1 if settings.steps is None else settings.steps,
        bf16=bfloat16,
        use_cpu=device == "cpu",
        save_steps=settings.save_every,
        save_total_limit=2,
        eval_strategy="steps",
        eval_steps=settings.evaluate_every,
        logging_first_step=True,
        logging_steps=max(1, settings.evaluate_every // 10),
        report_to=[],
        seed=settings.seed,
        data_seed=settings.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=device == "cuda",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=Objective(draft, settings.ce, settings.kl, settings.unroll),
        args=arguments,
        train_dataset=trained,
        eval_dataset=held_out,
        data_collator=collate,
        compute_metrics=lambda predicted: _agreement(predicted, settings.exits),
        callbacks=_tensorboard(settings.output / "tensorboard"),
    )
    trainer.remove_callback(PrinterCallback)  # _Telling says what is to be said
    return trainer


def _tensorboard(folder: Path) -> list[TrainerCallback]:
    """A log for TensorBoard, where that is installed."""
    if find_spec("tensorboard") is None:
        return []
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(folder)))]


def _agreement(predicted: EvalPrediction, exits: tuple[int, ...]) -> dict[str, float]:
    """Per exit, the share of the target's tokens that it guesses; behind that of the first token of a draft those of further ones."""
    hits: Any = predicted.predictions  # [texts, T, steps x exits]; below 0 where nothing is predicted
    named = [f"agreement_{e}" + (f"_token_{step + 1}" if step else "") for step in range(hits.shape[-1] // len(exits)) for e in exits]
    return {name: float((hits[..., i] == 1).sum() / max(1, (hits[..., i] >= 0).sum())) for i, name in enumerate(named)}


class _Telling(TrainerCallback):
    """Says how far a training is, and how well it goes."""

    def __init__(self, report: Report, tell: Callable[[str], None]) -> None:
        self.report, self.tell = report, tell

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.report("training", state.global_step / max(1, state.max_steps))

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        found = state.log_history[-1]
        agreements = [f"{name.removeprefix('eval_').replace('_', ' ')} {value:.1%}" for name, value in found.items() if "agreement" in name]
        self.tell(f"step {state.global_step} of {state.max_steps}: loss {found['eval_loss']:.3f}, {', '.join(agreements)}")


class _Interruption(TrainerCallback):
    """Ends a training after the step at hand, with a checkpoint."""

    happened = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        if self.happened:
            control.should_save = control.should_training_stop = True
        return control


@contextmanager
def _interruptible(trainer: Trainer) -> Iterator[_Interruption]:
    """Let Ctrl-C end the training in order; a second one ends it at once."""
    interruption = _Interruption()
    trainer.add_callback(interruption)

    def ask(number: int, frame: object) -> None:
        interruption.happened = True
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, ask)
    except ValueError:  # not the main thread: whoever started it there must end it
        yield interruption
        return
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)


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
