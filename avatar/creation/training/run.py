"""A whole training for a person who waits for it: told of, looked at, interrupted, gone on with."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from avatar.creation.training.checkpoint import load_checkpoint, save_checkpoint
from avatar.creation.training.evaluation import mean_psnr_db, preview, write_preview
from avatar.creation.training.pruning import without_faint
from avatar.creation.training.trainer import StepReport, Trainer
from avatar.creation.training.view import View
from avatar.formats.native import save_avatar
from avatar.interrupts import StoppedError, interrupts

__all__ = ["RunOptions", "RunReport", "run_training"]

_log = logging.getLogger(__name__)

Tell = Callable[[str, float], None]
"""Told what is being done, and the share done."""

_TELL_EVERY = 20
_TELL_EVERY_S = 0.5
_SHOWN = 6  # views that are measured now and then; all are at the end


@dataclass(frozen=True)
class RunOptions:
    """Where a training leaves what it makes."""

    out: Path
    """The avatar. Beside it lies the state of a training that is not finished."""
    preview: Path | None = None
    """A picture to look at now and then: fewest Gaussians, all, and what it should be."""
    show: Callable[[Image.Image], None] | None = None
    """Given that picture as often."""
    look_every: int = 250
    """Steps between two previews and measurements."""
    save_every: int = 1000
    """Steps between two checkpoints."""


@dataclass(frozen=True)
class RunReport:
    """How a training went."""

    steps: int
    psnr_db: dict[int, float]
    """On pictures that it was not trained on (else on some of its own), by the number of Gaussians."""


def state_path(out: Path) -> Path:
    """Where the state of a training lies that is not finished."""
    return out.with_suffix(".training")  # no name under which the library would look for avatars


def run_training(
    trainer: Trainer, held_out: Sequence[View], options: RunOptions, tell: Tell = lambda message, share: None
) -> RunReport:
    """Train to the end, going on from a checkpoint where there is one, and write the avatar.

    Raises:
        KeyboardInterrupt: if it was interrupted; the avatar as it was then is written, and its state.
        StoppedError: if `tell` raised it; the state is written, and no avatar.
        UserError: if the checkpoint belongs to another training.
    """
    state = state_path(options.out)
    if state.is_file():
        load_checkpoint(trainer, state)
        _log.info("going on after %d steps", trainer.step_count)
    watched = list(held_out) or list(trainer.views)
    front = max(watched, key=lambda view: float(view.camera.position[2]))
    message = _Message(trainer, [front, *watched[:: max(1, len(watched) // _SHOWN)]], tell)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with interrupts() as interrupted:
        try:
            while trainer.step_count < trainer.config.steps and not interrupted.is_set():
                message.add(trainer.step())
                if trainer.step_count % options.look_every == 0:
                    message.look(options)
                if trainer.step_count % options.save_every == 0:
                    save_checkpoint(trainer, state)
        except StoppedError:
            save_checkpoint(trainer, state)
            raise
    save_avatar(without_faint(trainer.avatar()), options.out)
    if interrupted.is_set():
        save_checkpoint(trainer, state)
        raise KeyboardInterrupt(
            f"stopped after {trainer.step_count} of {trainer.config.steps} steps; {options.out} can be used as it is, "
            "and the same command goes on from here"
        )
    state.unlink(missing_ok=True)
    tell("measuring", 1.0)
    counts = sorted({*trainer.levels(), len(trainer.parameters)})
    return RunReport(trainer.step_count, {n: round(mean_psnr_db(trainer, watched, n), 2) for n in counts})


class _Message:
    """What is told while training."""

    def __init__(self, trainer: Trainer, watched: Sequence[View], tell: Tell) -> None:
        self._trainer, self._watched, self._tell = trainer, watched, tell
        self._error = 0.0
        self._seen = ""
        self._told_s = time.monotonic()

    def add(self, report: StepReport) -> None:
        """A step has been taken."""
        steps, every = self._trainer.config.steps, min(50, report.step)
        self._error += (report.loss.l2 - self._error) / every
        is_late = time.monotonic() - self._told_s > _TELL_EVERY_S
        if report.step % _TELL_EVERY == 0 or report.step == steps or is_late:
            self._told_s = time.monotonic()
            near = -10 * math.log10(max(self._error, 1e-10))
            self._tell(f"step {report.step:,} of {steps:,}, {near:.1f} dB in training{self._seen}", report.step / steps)

    def look(self, options: RunOptions) -> None:
        """Measure what is watched, and draw the preview."""
        n, least = len(self._trainer.parameters), min(self._trainer.config.least, len(self._trainer.parameters))
        if options.preview is not None:
            write_preview(self._trainer, self._watched[0], options.preview, [least, n])
        if options.show is not None:
            options.show(preview(self._trainer, self._watched[0], [least, n]))
        levels = " / ".join(f"{mean_psnr_db(self._trainer, self._watched, k):.1f}" for k in sorted({least, n}))
        self._seen = f", {levels} dB on the watched pictures"
