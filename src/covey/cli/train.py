"""`covey train`: drafters for a target, from a recording of its own text; covey.train does the work.

covey train nested --recording recorded --output draft
covey train specialist --draft draft --recording recorded --tasks code --output draft-code
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from covey.cli import screen
from covey.config import Settings

SETTINGS = ("target", "device", "dtype", "threads")
SPECIALIST_SETTINGS = SETTINGS[1:]  # the target is the draft's


def nested(
    recording: Annotated[
        list[Path], typer.Option(help="A folder that covey record has written; may be given several times.", show_default=False)
    ],
    output: Annotated[Path, typer.Option(help="The folder of the draft; a training that was cut is gone on with.", show_default=False)],
    kind: Annotated[str, typer.Option(help="standalone, or self: a draft that reads the target's hidden states.")] = "standalone",
    layers: Annotated[int, typer.Option(help="How many of the target's layers the draft begins as: the first, or for self the last.")] = 6,
    exits: Annotated[str, typer.Option(help="Depths at which tokens are read off, the last one all layers.")] = "2,4,6",
    head_size: Annotated[int, typer.Option(help="How many of the most frequent tokens the draft knows; 0 for all.")] = 8192,
    loss: Annotated[
        str, typer.Option(help="soft: cross-entropy with the target's tokens, S2D's; distil: divergence from its distribution; both.")
    ] = "both",
    ce: Annotated[float | None, typer.Option(help="Weight of cross-entropy; unset is the loss's.", show_default=False)] = None,
    kl: Annotated[float | None, typer.Option(help="Weight of the divergence; unset is the loss's.", show_default=False)] = None,
    unroll: Annotated[int, typer.Option(help="How many tokens of a draft are practised, for kind self.")] = 1,
    epochs: Annotated[float, typer.Option(help="How often every text is learned from.")] = 3.0,
    steps: Annotated[int | None, typer.Option(help="So many updates instead.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(help="Texts a step and device.")] = 8,
    accumulate: Annotated[int, typer.Option(help="Steps that make one update.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="The highest one; it rises and falls.")] = 5e-4,
    max_length: Annotated[int, typer.Option(help="Most tokens of a text; a prompt loses its beginning.")] = 1024,
    save_every: Annotated[int, typer.Option(help="Updates between checkpoints.")] = 200,
    evaluate_every: Annotated[int, typer.Option(help="Updates between evaluations.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same draft on the same machine.")] = 0,
    *,
    settings: Settings,
) -> None:
    """Train a nested draft: the target's first layers, usable at several depths."""
    from covey.train.nested import NestedSettings, train_nested

    ce, kl = _loss(loss, ce, kl)
    chosen = NestedSettings(
        recordings=tuple(recording),
        kind=kind,
        output=output,
        target=settings.target,
        layers=layers,
        exits=_depths(exits),
        head_size=head_size,
        ce=ce,
        kl=kl,
        unroll=unroll,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        accumulate=accumulate,
        learning_rate=learning_rate,
        max_length=max_length,
        save_every=save_every,
        evaluate_every=evaluate_every,
        seed=seed,
        device=settings.engine.device,
        dtype=settings.engine.dtype,
        threads=settings.engine.threads,
    )
    with _resumable(), screen.reported() as report:
        draft = train_nested(chosen, report, screen.err().print)
    agreement = draft.config.training["held_out"]
    shown = ", ".join(f"exit {exit_} {agreement[f'agreement_{exit_}']:.1%}" for exit_ in draft.config.exits)
    screen.out().print(f"{output}: agreement with the target on held-out text: {shown}")


def specialist(
    draft: Annotated[
        str, typer.Option(help="The nested draft that it begins as: a folder, or the target that covey ships one for.", show_default=False)
    ],
    recording: Annotated[
        list[Path], typer.Option(help="A folder that covey record has written; may be given several times.", show_default=False)
    ],
    tasks: Annotated[
        str, typer.Option(help="The kinds of work, as the recorded prompts name them, separated by commas.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option(help="The folder of the specialist; a training that was cut is gone on with.", show_default=False)
    ],
    rank: Annotated[int, typer.Option(help="Of the deltas that are learned.")] = 16,
    dropout: Annotated[float, typer.Option(help="Share of a delta's input that is left out while it learns.")] = 0.0,
    loss: Annotated[
        str, typer.Option(help="soft: cross-entropy with the target's tokens; distil: divergence from its distribution; both.")
    ] = "both",
    ce: Annotated[float | None, typer.Option(help="Weight of cross-entropy; unset is the loss's.", show_default=False)] = None,
    kl: Annotated[float | None, typer.Option(help="Weight of the divergence; unset is the loss's.", show_default=False)] = None,
    unroll: Annotated[int, typer.Option(help="How many tokens of a draft are practised, for kind self.")] = 1,
    epochs: Annotated[float, typer.Option(help="How often every text is learned from.")] = 3.0,
    steps: Annotated[int | None, typer.Option(help="So many updates instead.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(help="Texts a step and device.")] = 8,
    accumulate: Annotated[int, typer.Option(help="Steps that make one update.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="The highest one; it rises and falls.")] = 5e-4,
    max_length: Annotated[int, typer.Option(help="Most tokens of a text; a prompt loses its beginning.")] = 1024,
    save_every: Annotated[int, typer.Option(help="Updates between checkpoints.")] = 200,
    evaluate_every: Annotated[int, typer.Option(help="Updates between evaluations.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same specialist on the same machine.")] = 0,
    *,
    settings: Settings,
) -> None:
    """Fine-tune a nested draft on some kinds of work: low-rank deltas, a megabyte or so."""
    from covey.drafters import shipped_draft
    from covey.train.specialist import SpecialistSettings, train_specialist

    ce, kl = _loss(loss, ce, kl)
    chosen = SpecialistSettings(
        draft=shipped_draft(draft) or Path(draft),
        recordings=tuple(recording),
        tasks=tuple(tasks.split(",")),
        output=output,
        rank=rank,
        dropout=dropout,
        ce=ce,
        kl=kl,
        unroll=unroll,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        accumulate=accumulate,
        learning_rate=learning_rate,
        max_length=max_length,
        save_every=save_every,
        evaluate_every=evaluate_every,
        seed=seed,
        device=settings.engine.device,
        dtype=settings.engine.dtype,
        threads=settings.engine.threads,
    )
    with _resumable(), screen.reported() as report:
        made = train_specialist(chosen, report, screen.err().print)
    before, after = made.config.training["before"], made.config.training["held_out"]
    named = [(exit_, f"agreement_{exit_}") for exit_ in made.config.exits]
    shown = ", ".join(f"exit {exit_} {before[name]:.1%} before, {after[name]:.1%} after" for exit_, name in named)
    screen.out().print(f"{output}: agreement with the target on held-out text of {', '.join(chosen.tasks)}: {shown}")


@contextmanager
def _resumable() -> Iterator[None]:
    """A training that is interrupted says how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        screen.err().print("the same command goes on from the last checkpoint")
        raise


def _loss(name: str, ce: float | None, kl: float | None) -> tuple[float, float]:
    """The weights of cross-entropy and divergence: those of a loss by name, where they are not given."""
    from covey.train.schedule import LOSSES

    if name not in LOSSES:
        raise ValueError(f"loss={name!r}: loss must be one of {', '.join(LOSSES)}")
    return LOSSES[name][0] if ce is None else ce, LOSSES[name][1] if kl is None else kl


def _depths(text: str) -> tuple[int, ...]:
    if not all(part.strip().isdigit() for part in text.split(",")):
        raise ValueError(f"exits={text!r}: exits must be depths separated by commas, such as 2,4,6")
    return tuple(int(part) for part in text.split(","))
