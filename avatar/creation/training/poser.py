"""Poses to triangle frames, with gradients where the head itself is to change."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.creation.training.splatting import TensorCamera, frames_in_camera
from avatar.creation.training.view import View
from avatar.flame.head import HeadModel
from avatar.render.posing import FastHead

__all__ = ["Poser"]


class Poser:
    """Where a head's triangles are in a view. Per-vertex offsets, if trained, are a leaf that gets gradients."""

    def __init__(self, head: HeadModel, static_offset: Tensor | None, device: torch.device, learn: bool) -> None:
        """
        Args:
            static_offset: (V, 3), metres.
            learn: whether offsets are to get gradients: each pose then takes the readable path, milliseconds longer.
        """
        self._device = device
        self.offset: Float[Tensor, "v 3"] | None = None
        if learn:
            start = torch.zeros_like(head.v_template) if static_offset is None else static_offset
            self.offset = start.to(device).clone().requires_grad_()
            self._head = head.to(device)
        else:
            self._fast = FastHead(head, None if static_offset is None else static_offset.numpy())

    def frames(self, view: View) -> Float[Tensor, "f 3 4"]:
        """Triangle to camera. Without offsets to learn, overwritten by the next call."""
        if self.offset is None:
            found = self._fast.frames(view.params, view.camera.viewmat[:3])
            return torch.from_numpy(found).view(-1, 3, 4).to(self._device)
        vertices = self._head.vertices(view.params, self.offset)
        return frames_in_camera(vertices, self._head.faces, torch.from_numpy(view.camera.viewmat).to(self._device))

    def camera(self, view: View) -> TensorCamera:
        """The view's camera, on the device."""
        of = TensorCamera.of(view.camera)
        return TensorCamera(of.turn.to(self._device), of.intrinsics.to(self._device), of.width, of.height)
