"""What changes from picture to picture, in one upload."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from avatar.camera import Camera
from avatar.render.posing import FastHead
from avatar.render.protocol import Background

__all__ = ["PictureInputs"]

_ALIGNMENT = 16  # floats


class PictureInputs:
    """Pose and camera on the device, at fixed addresses, each a named view of one buffer.

    Writer and reader: the thread that draws. `load` fills a page-locked copy and starts one asynchronous upload on the
    current stream; before it fills the copy again it waits until that upload has passed.
    """

    def __init__(self, coefficients: int, device: torch.device, channels: int = 0) -> None:
        """
        Args:
            coefficients: how many `FastHead.directions` there are.
            channels: how many ARKit channels change colors.
        """
        shapes: dict[str, tuple[int, ...]] = {
            "coefficients": (coefficients,),
            "transforms": (5, 12),
            "viewmat": (1, 4, 4),
            "K": (1, 3, 3),
            "position": (3,),
            "background": (1, 4),
            "expression": (channels,),
        }
        sizes = [-(-int(np.prod(s)) // _ALIGNMENT) * _ALIGNMENT for s in shapes.values()]
        cuda = device.type == "cuda"
        self._host = torch.zeros(sum(sizes), pin_memory=cuda)
        self._device = torch.zeros(sum(sizes), device=device)
        self._uploaded = torch.cuda.Event(blocking=True) if cuda else None
        self.views: dict[str, Tensor] = {}
        """By name: coefficients and transforms of `FastHead`; viewmat, K, position of the camera; background, BGRA; and
        expression, the weights of the channels that change colors."""
        self._filled: dict[str, np.ndarray] = {}
        start, host = 0, self._host.numpy()
        for (name, shape), size in zip(shapes.items(), sizes, strict=True):
            used = slice(start, start + int(np.prod(shape)))
            self.views[name], self._filled[name] = self._device[used].view(shape), host[used].reshape(shape)
            start += size

    def load(
        self,
        head: FastHead,
        camera: Camera,
        background: Background,
        expression: Float32[np.ndarray, " c"] | None = None,
    ) -> None:
        """Start uploading a head's pose (in the world), a camera, a background, and the weights that change colors."""
        if self._uploaded is not None:
            self._uploaded.synchronize()
        filled = self._filled
        filled["coefficients"][:] = head.coefficients
        filled["transforms"][:] = head.transforms
        filled["transforms"][:, 3::4] += head.offset  # weights add up to one
        filled["viewmat"][0] = camera.viewmat
        filled["K"][0] = camera.K
        filled["position"][:] = camera.position
        filled["background"][0] = (0.0, 0.0, 0.0, 0.0) if background is None else (*reversed(background), 1.0)
        if expression is not None:
            filled["expression"][:] = expression
        self._device.copy_(self._host, non_blocking=True)
        if self._uploaded is not None:
            self._uploaded.record()
