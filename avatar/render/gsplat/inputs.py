"""What changes from picture to picture, in one upload."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avatar.camera import Camera
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.render.protocol import Background

__all__ = ["PictureInputs"]

_POSE = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose", "transl")


class PictureInputs:
    """Pose and camera on the device, at fixed addresses, each a named view of one buffer.

    Writer and reader: the thread that draws. `load` fills a page-locked copy and starts one asynchronous upload on the
    current stream; the copy must not be filled again before that has passed, which a finished picture implies.
    """

    def __init__(self, head: HeadModel, device: torch.device) -> None:
        shapes: dict[str, tuple[int, ...]] = {
            "shape": (head.n_shape,),
            "expression": (head.n_expression,),
            **dict.fromkeys(_POSE, (3,)),
            "viewmat": (1, 4, 4),
            "K": (1, 3, 3),
            "position": (3,),
            "background": (3,),
        }
        total = sum(int(np.prod(s)) for s in shapes.values())
        self._host = torch.zeros(total, pin_memory=device.type == "cuda")
        self._device = torch.zeros(total, device=device)
        self._host_views = self._split(self._host, shapes)
        self.views = self._split(self._device, shapes)
        """By name: the fields of FlameParams; viewmat, K, position of the camera; background, RGB (black if none)."""

    @staticmethod
    def _split(buffer: Tensor, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
        parts = buffer.split([int(np.prod(s)) for s in shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def load(self, params: FlameParams, camera: Camera, background: Background) -> None:
        """Start uploading a pose, a camera and a background.

        Raises:
            ValueError: if the pose has other numbers of coefficients than the head, or is a batch.
        """
        values = {name: getattr(params, name) for name in ("shape", "expression", *_POSE)}
        values |= {"viewmat": camera.viewmat[None], "K": camera.K[None], "position": camera.position}
        values["background"] = np.array(background or (0.0, 0.0, 0.0))
        for name, value in values.items():
            view = self._host_views[name]
            if value.shape != tuple(view.shape):
                raise ValueError(f"expected {tuple(view.shape)} values of {name} for one pose, got {value.shape}")
            view.copy_(torch.from_numpy(np.ascontiguousarray(value, np.float32)))
        self._device.copy_(self._host, non_blocking=True)
