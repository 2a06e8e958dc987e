"""How near a training's pictures come to those it should give, and a look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from avatar.creation.training.trainer import Trainer
from avatar.creation.training.view import View
from avatar.formats.atomic import replacing
from avatar.render.conformance import psnr_db

__all__ = ["mean_psnr_db", "preview", "write_preview"]


def _over_white(image: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 3"]:
    return np.clip(image[..., :3] + 1 - image[..., 3:], 0, 1)


def _wanted(view: View) -> Float[np.ndarray, "h w 3"]:
    return _over_white(view.read().astype(np.float32) / 255)


def mean_psnr_db(trainer: Trainer, views: Sequence[View], count: int | None = None) -> float:
    """Mean PSNR over views, whole pictures over white, with the first `count` Gaussians.

    Raises:
        ValueError: if there are no views.
    """
    if not views:
        raise ValueError("mean_psnr_db: expected at least one view, got none")
    return float(
        np.mean([psnr_db(_over_white(trainer.render(view, count).cpu().numpy()), _wanted(view)) for view in views])
    )


def preview(trainer: Trainer, view: View, counts: Sequence[int | None]) -> Image.Image:
    """A view with each number of Gaussians, and what it should look like on the right, side by side."""
    parts = [_over_white(trainer.render(view, count).cpu().numpy()) for count in counts]
    strip = np.concatenate([*parts, _wanted(view)], 1)
    return Image.fromarray((strip * 255 + 0.5).astype(np.uint8))


def write_preview(trainer: Trainer, view: View, path: Path | str, counts: Sequence[int | None]) -> None:
    """Write the picture that `preview` draws."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as fresh:
        preview(trainer, view, counts).save(fresh)
