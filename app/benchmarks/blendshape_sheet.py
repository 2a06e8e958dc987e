"""A picture of learned blendshapes on an avatar: what each of them does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from animation.blendshapes.flame_map import FlameMap
from animation.blendshapes.fusion import load_fusion, refit
from animation.blendshapes.learned import default_weights
from animation.lab.evaluation.fusion import HeldOut
from avatar import Camera, open_avatar, open_renderer
from avatar.heads import open_head

__all__ = ["blendshape_sheet"]

_PIXELS = 260
_COLUMNS = 6
_ROWS = 2
"""Of each domain."""
_PEAK_MM = 5.0
"""How far the vertex goes that a blendshape moves farthest."""
_BACKGROUND = (0.94, 0.94, 0.95)
_MM = 1e3


def blendshape_sheet(out: Path | str, weights: Path | None = None, avatar: str = "clara") -> None:
    """Draw the first blendshapes of speech and of expression, each alone, on an avatar.

    All move their farthest vertex by 5 mm, to the side to which held-out people go farther.

    Args:
        out: the picture.
        weights: of the fusion module; those that ship if None.
        avatar: on whom.

    Raises:
        UserError: if the weights or the avatar are missing or damaged, or the weights are of another topology.
    """
    head, arkit = open_head()
    model, _ = load_fusion(default_weights() if weights is None else weights, head)
    held_out = HeldOut.make(head, arkit, model.image.vertices)
    figure = open_avatar(avatar)
    camera = Camera.preset("face", _PIXELS, _PIXELS)
    sheet = Image.new("RGB", (_COLUMNS * _PIXELS, 2 * _ROWS * _PIXELS))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    with closing(open_renderer("auto")) as renderer:
        row = 0
        for name, poses, basis in (
            ("speech", held_out.speech_truth, model.speech_decoder.weight),
            ("expression", held_out.expression_truth, model.expression_decoder.weight),
        ):
            shapes = basis.detach().T.unflatten(-1, (-1, 3)) / _MM
            expression, jaw = FlameMap.fit(figure.head, model.image.vertices, shapes).params(
                np.diag(_drawn(poses, basis))
            )
            for k in range(min(_ROWS * _COLUMNS, len(expression))):
                params = figure.head.neutral().replace(expression=expression[k], jaw_pose=jaw[k])
                picture = Image.fromarray(renderer.draw(figure, params, camera, background=_BACKGROUND)[..., 2::-1])
                at = (k % _COLUMNS * _PIXELS, (row + k // _COLUMNS) * _PIXELS)
                sheet.paste(picture, at)
                draw.text((at[0] + 8, at[1] + 6), f"{name} {k + 1}", (40, 40, 48), font)
            row += _ROWS
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def _drawn(poses: Float[np.ndarray, "t n 3"], basis: Float[torch.Tensor, "n3 k"]) -> Float[np.ndarray, " k"]:
    """Weights that move the farthest vertex by `_PEAK_MM`, to the side to which people go farther."""
    with torch.no_grad():
        used = refit(basis, torch.from_numpy(poses).flatten(1) * _MM).numpy()
    low, high = np.quantile(used, [0.02, 0.98], axis=0)
    farthest = basis.detach().unflatten(0, (-1, 3)).norm(dim=1).amax(0).numpy()
    return np.where(high >= -low, _PEAK_MM, -_PEAK_MM) / farthest
