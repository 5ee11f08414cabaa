"""One training from beginning to end on transformers' Trainer: resumable, interruptible, told of, evaluated on what is held out.

Knows nothing of what is trained beyond its objective.

    fitted = fit(settings, draft, trained, held_out, "cpu", report, tell); fitted.held_out["agreement_2"]
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from covey.errors import CoveyError
from covey.model.atomic import Report
from covey.model.machine import multiplies_faster_in_bfloat16
from covey.model.nested import NestedDraft
from covey.train.curves import agreement_points, draw_curves, extrapolated
from covey.train.dataset import Texts, collate
from covey.train.objective import Objective
from covey.train.recording import Recording
from covey.train.schedule import TrainSettings

LOG = "training.json"


@dataclass(frozen=True)
class Fitted:
    """How a training went. before and held_out: loss and agreement on what is held out, before (where asked for) and after."""

    history: list[dict[str, Any]]
    steps: int
    texts: int
    tokens_a_step: float
    parameters: int
    before: dict[str, float]
    held_out: dict[str, float]

    def described(self, settings: TrainSettings, exits: tuple[int, ...], recordings: list[Recording]) -> dict[str, Any]:
        """What a draft's configuration says of its training."""
        ahead = {e: extrapolated(agreement_points(self.history, f"eval_agreement_{e}", self.tokens_a_step)) for e in exits}
        names = ("text", "prompts_sha256", "apart_from_sha256", "temperature", "leave_out")
        return {
            "settings": {name: value for name, value in settings.as_json().items() if name not in ("recordings", "output", "draft")},
            "texts": self.texts,
            "tokens_a_step": round(self.tokens_a_step),
            "tokens_seen": round(self.tokens_a_step * self.steps),
            "steps": self.steps,
            "parameters": self.parameters,  # without the embedding, which is only looked up
            "ten_times_as_much": {f"agreement_{exit_}": value for exit_, value in ahead.items()},
            **({"before": self.before} if self.before else {}),
            "held_out": self.held_out,
            "recordings": [{name: recording.description[name] for name in names} for recording in recordings],
        }

    def write_log(self, exits: tuple[int, ...], folder: Path) -> None:
        """The log, and a picture of it."""
        (folder / LOG).write_text(json.dumps(self.history, indent=1) + "\n", "utf-8")
        draw_curves(self.history, self.tokens_a_step, exits, folder / "curves.png")


def fit(
    settings: TrainSettings,
    draft: NestedDraft,
    trained: Texts,
    held_out: Texts,
    device: str,
    report: Report,
    tell: Callable[[str], None],
    *,
    compared: bool = False,
) -> Fitted:
    """Train what in a draft wants to be trained, or go on where a training with the same settings was cut.

    compared: evaluate before, too. Ctrl-C ends it after the step at hand, with everything saved, and raises KeyboardInterrupt.
    """
    trainer = _trainer(settings, draft, trained, held_out, device)
    trainer.add_callback(_Telling(report, tell))
    checkpoint = _checkpoint(settings, _digest(trained))
    before = _agreements(trainer.evaluate()) if compared else {}
    with _interruptible(trainer) as interrupted:
        trainer.train(resume_from_checkpoint=checkpoint)
    if interrupted.happened and trainer.state.global_step < trainer.state.max_steps:
        raise KeyboardInterrupt
    return Fitted(
        steps=trainer.state.global_step,
        texts=len(trained.texts),
        tokens_a_step=trained.num_tokens / len(trained) * settings.accumulate,
        parameters=sum(p.numel() for p in draft.parameters() if p.requires_grad),
        before=before,
        held_out=_agreements(trainer.evaluate()),
        history=trainer.state.log_history,
    )


def _agreements(found: dict[str, float]) -> dict[str, float]:
    return {name.removeprefix("eval_"): value for name, value in found.items() if "agreement" in name or name == "eval_loss"}


def _checkpoint(settings: TrainSettings, texts: str) -> str | None:
    """The last checkpoint of a training that was cut, which must have been one with the same settings and texts."""
    folder = settings.output / "checkpoints"
    described = json.dumps({**settings.as_json(), "texts": texts}, indent=1)
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


def _trainer(settings: TrainSettings, draft: NestedDraft, trained: Texts, held_out: Texts, device: str) -> Trainer:
    bfloat16 = settings.dtype == "bfloat16" or (settings.dtype == "auto" and multiplies_faster_in_bfloat16(torch.device(device)))
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
        compute_metrics=lambda predicted: _agreement(predicted, draft.config.exits),
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
        when = f"step {state.global_step} of {state.max_steps}" if state.max_steps else "before"
        self.tell(f"{when}: loss {found['eval_loss']:.3f}, {', '.join(agreements)}")


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
