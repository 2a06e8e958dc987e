"""Poses to triangle frames, with gradients where the head itself or its pose is to change."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.creation.lids import with_closing_lids
from avatar.creation.training.corrections import POSE_PARTS
from avatar.creation.training.splatting import TensorCamera, frames_in_camera
from avatar.creation.training.view import View
from avatar.flame.head import HeadModel
from avatar.render.posing import FastHead

__all__ = ["Poser"]


class Poser:
    """Where a head's triangles are in a view."""

    def __init__(
        self, head: HeadModel, static_offset: Tensor | None, device: torch.device, learned: Tensor | bool
    ) -> None:
        """
        Args:
            static_offset: (V, 3), metres.
            learned: offsets that get gradients instead, or whether poses do: each pose then takes the readable path,
                milliseconds longer.
        """
        self._device = device
        self._fast: FastHead | None = None
        if learned is False:
            self._fast = FastHead(head, None if static_offset is None else static_offset.numpy())
            return
        self._offset = learned if isinstance(learned, Tensor) else static_offset
        self._offset = None if self._offset is None else self._offset.to(device)
        self._start = self._head = head.to(device)

    def frames(self, view: View, correction: Float[Tensor, " k"] | None = None) -> Float[Tensor, "f 3 4"]:
        """Triangle to camera. Where nothing is learned, overwritten by the next call.

        Args:
            correction: added to the view's pose; see `PoseCorrections`.
        """
        if self._fast is not None:
            found = self._fast.frames(view.params, view.camera.viewmat[:3])
            return torch.from_numpy(found).view(-1, 3, 4).to(self._device)
        vertices = self._vertices(view, correction)
        return frames_in_camera(vertices, self._head.faces, torch.from_numpy(view.camera.viewmat).to(self._device))

    def camera(self, view: View) -> TensorCamera:
        """The view's camera, on the device."""
        of = TensorCamera.of(view.camera)
        return TensorCamera(of.turn.to(self._device), of.intrinsics.to(self._device), of.width, of.height)

    def close_lids(self) -> None:
        """Have lids meet in a blink with the offsets as they are."""
        if self._fast is None:
            self._head = with_closing_lids(self._start, self._offset)

    def _vertices(self, view: View, correction: Float[Tensor, " k"] | None) -> Float[Tensor, "v 3"]:
        params = view.params
        if correction is None:
            return self._head.vertices(params, self._offset)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

        parts = {
            name: tensor(getattr(params, name)) + correction[3 * i : 3 * i + 3] for i, name in enumerate(POSE_PARTS)
        }
        expression = tensor(params.expression) + correction[3 * len(POSE_PARTS) :]
        return self._head.forward(
            tensor(params.shape),
            expression,
            **parts,
            static_offset=self._offset,
            tongue_tip=torch.as_tensor(params.tongue_tip).to(self._device),
        )
