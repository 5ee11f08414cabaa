"""`covey train`: drafters for a target, from a recording of its own text; covey.train does the work.

covey train nested --recording recorded --output draft
covey train specialist --draft draft --recording recorded --tasks code --output draft-code
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from covey.cli import screen
from covey.cli.options import sharing
from covey.config import Settings

SETTINGS = ("target", "device", "dtype", "threads")
SPECIALIST_SETTINGS = SETTINGS[1:]  # the target is the draft's


@dataclass(frozen=True, kw_only=True)
class Training:
    """The options of every training."""

    recording: Annotated[
        list[Path], typer.Option(help="A folder that covey record has written; may be given several times.", show_default=False)
    ]
    output: Annotated[Path, typer.Option(help="The folder of the draft; a training that was cut is gone on with.", show_default=False)]
    loss: Annotated[
        str, typer.Option(help="soft: cross-entropy with the target's tokens, S2D's; distil: divergence from its distribution; both.")
    ] = "both"
    ce: Annotated[float | None, typer.Option(help="Weight of cross-entropy; unset is the loss's.", show_default=False)] = None
    kl: Annotated[float | None, typer.Option(help="Weight of the divergence; unset is the loss's.", show_default=False)] = None
    unroll: Annotated[int, typer.Option(help="How many tokens of a draft are practised, for kind self.")] = 1
    epochs: Annotated[float, typer.Option(help="How often every text is learned from.")] = 3.0
    steps: Annotated[int | None, typer.Option(help="So many updates instead.", show_default=False)] = None
    batch_size: Annotated[int, typer.Option(help="Texts a step and device.")] = 8
    accumulate: Annotated[int, typer.Option(help="Steps that make one update.")] = 1
    learning_rate: Annotated[float, typer.Option(help="The highest one; it rises and falls.")] = 5e-4
    max_length: Annotated[int, typer.Option(help="Most tokens of a text; a prompt loses its beginning.")] = 1024
    save_every: Annotated[int, typer.Option(help="Updates between checkpoints.")] = 200
    evaluate_every: Annotated[int, typer.Option(help="Updates between evaluations.")] = 200
    seed: Annotated[int, typer.Option(help="The same seed gives the same draft on the same machine.")] = 0

    def on(self, settings: Settings) -> dict[str, Any]:
        """The fields of TrainSettings, on the machine that the settings say. Raises ValueError for a loss that has no name."""
        from covey.train.schedule import LOSSES

        if self.loss not in LOSSES:
            raise ValueError(f"loss={self.loss!r}: loss must be one of {', '.join(LOSSES)}")
        ce, kl = LOSSES[self.loss]
        same = {name: value for name, value in vars(self).items() if name not in ("recording", "loss")}
        machine = {name: getattr(settings.engine, name) for name in SPECIALIST_SETTINGS}
        weights = {"ce": ce if self.ce is None else self.ce, "kl": kl if self.kl is None else self.kl}
        return {**same, **weights, **machine, "recordings": tuple(self.recording)}


@sharing("training", Training)
def nested(
    start: Annotated[
        str | None,
        typer.Option(
            help="What the draft begins as: a model of the target's vocabulary whose layers are taken, or the folder of a draft, "
            "to be trained on; unset is the target.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="standalone, or self: a draft that reads the target's hidden states; unset is standalone.", show_default=False),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(help="How many of the layers the draft begins as: the first, or for self the last; unset is 6.", show_default=False),
    ] = None,
    exits: Annotated[
        str | None,
        typer.Option(help="Depths at which tokens are read off, the last one all layers; unset is 2,4,6.", show_default=False),
    ] = None,
    head_size: Annotated[
        int | None,
        typer.Option(help="How many of the most frequent tokens the draft knows; 0 for all, unset is 8192.", show_default=False),
    ] = None,
    *,
    training: Training,
    settings: Settings,
) -> None:
    """Train a nested draft: the target's first layers, usable at several depths; or go on training one."""
    from covey.train.nested import NestedSettings, train_nested

    shape: dict[str, Any] = {"kind": kind, "layers": layers, "exits": None if exits is None else _depths(exits), "head_size": head_size}
    chosen = NestedSettings(target=settings.target, start=start, **shape, **training.on(settings))
    with _resumable(), screen.reported() as report:
        draft = train_nested(chosen, report, screen.err().print)
    agreement = draft.config.training["held_out"]
    shown = ", ".join(f"exit {exit_} {agreement[f'agreement_{exit_}']:.1%}" for exit_ in draft.config.exits)
    screen.out().print(f"{chosen.output}: agreement with the target on held-out text: {shown}")


@sharing("training", Training)
def specialist(
    draft: Annotated[
        str, typer.Option(help="The nested draft that it begins as: a folder, or the target that covey ships one for.", show_default=False)
    ],
    tasks: Annotated[
        str, typer.Option(help="The kinds of work, as the recorded prompts name them, separated by commas.", show_default=False)
    ],
    rank: Annotated[int, typer.Option(help="Of the deltas that are learned.")] = 16,
    dropout: Annotated[float, typer.Option(help="Share of a delta's input that is left out while it learns.")] = 0.0,
    *,
    training: Training,
    settings: Settings,
) -> None:
    """Fine-tune a nested draft on some kinds of work: low-rank deltas, a megabyte or so."""
    from covey.drafters import shipped_draft
    from covey.train.specialist import SpecialistSettings, train_specialist

    chosen = SpecialistSettings(
        draft=shipped_draft(draft) or Path(draft), tasks=tuple(tasks.split(",")), rank=rank, dropout=dropout, **training.on(settings)
    )
    with _resumable(), screen.reported() as report:
        made = train_specialist(chosen, report, screen.err().print)
    before, after = made.config.training["before"], made.config.training["held_out"]
    named = [(exit_, f"agreement_{exit_}") for exit_ in made.config.exits]
    shown = ", ".join(f"exit {exit_} {before[name]:.1%} before, {after[name]:.1%} after" for exit_, name in named)
    screen.out().print(f"{chosen.output}: agreement with the target on held-out text of {', '.join(chosen.tasks)}: {shown}")


@contextmanager
def _resumable() -> Iterator[None]:
    """A training that is interrupted says how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        screen.err().print("the same command goes on from the last checkpoint")
        raise


def _depths(text: str) -> tuple[int, ...]:
    if not all(part.strip().isdigit() for part in text.split(",")):
        raise ValueError(f"exits={text!r}: exits must be depths separated by commas, such as 2,4,6")
    return tuple(int(part) for part in text.split(","))
