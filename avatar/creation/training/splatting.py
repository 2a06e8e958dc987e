"""Differentiable splatting behind one interface: from raw Gaussians, triangle frames and a camera to a picture.

    splatter = open_splatter("cpu")
    vertices = head.forward(shape, expression, ...)                  # any of these may ask for gradients
    frames = frames_in_camera(vertices, head.faces, viewmat)
    image = splatter.render(bound, frames, TensorCamera.of(camera, viewmat))
    loss(image).backward()

Gradients go to whatever asks for them: means, quaternions, log scales, logit opacities and spherical harmonics of
`bound`; the frames, and from there vertices, offsets and FLAME's parameters; the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.binding import BoundGaussians, triangle_frames
from avatar.camera import Camera
from avatar.errors import UserError

__all__ = ["Splatter", "TensorCamera", "frames_in_camera", "open_splatter"]


@dataclass(frozen=True, eq=False)
class TensorCamera:
    """A camera whose numbers are tensors. Where it stands is part of the frames of the triangles."""

    turn: Float[Tensor, "3 3"]
    """Camera to world, for the directions of spherical harmonics: a rotation."""
    intrinsics: Float[Tensor, "4"]
    """fx, fy, cx, cy, pixels."""
    width: int
    height: int

    @classmethod
    def of(cls, camera: Camera, viewmat: Float[Tensor, "4 4"] | None = None) -> TensorCamera:
        """The tensors of a camera, on the CPU unless `viewmat` lies elsewhere.

        Args:
            viewmat: world to camera where that has gradients; the camera's own if None.
        """
        if viewmat is None:
            viewmat = torch.from_numpy(camera.viewmat)
        K = torch.from_numpy(camera.K).to(viewmat)
        intrinsics = torch.stack([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
        return cls(viewmat[:3, :3].mT, intrinsics, camera.width, camera.height)


def frames_in_camera(
    vertices: Float[Tensor, "v 3"], faces: Float[Tensor, "f 3"], viewmat: Float[Tensor, "4 4"]
) -> Float[Tensor, "f 3 4"]:
    """Triangle frames seen by a camera, [scale * rotation | origin]: the readable, differentiable path.

    `avatar.render.posing.FastHead.frames` gives the same numbers where no gradient is needed.
    """
    seen = vertices @ viewmat[:3, :3].mT + viewmat[:3, 3]
    frames = triangle_frames(seen, faces)
    return torch.cat([frames.scales[:, None, None] * frames.rotations, frames.origins[..., None]], -1)


class Splatter(Protocol):
    """Draws with a way back. One picture between two calls of `backward`; one thread at a time."""

    device: torch.device

    @property
    def weights(self) -> Float[Tensor, " n"]:
        """Of each Gaussian of the last picture, known after a way back: how much of the picture it is.

        Opacity times transmittance, summed over pixels; 0 for what was not seen.
        """
        ...

    @property
    def peaks(self) -> Float[Tensor, " n"]:
        """`weights` over the area of each ellipse: about the greatest share that a Gaussian has in a pixel."""
        ...

    @property
    def pulls(self) -> Float[Tensor, " n"]:
        """Length of the gradient by a Gaussian's place in the picture, per pixel; known after a way back."""
        ...

    def render(
        self,
        bound: BoundGaussians,
        frames: Float[Tensor, "f 3 4"],
        camera: TensorCamera,
        count: int | None = None,
        tint: Float[Tensor, "n 3"] | None = None,
        fade: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "h w 4"]:
        """The first `count` Gaussians (all of them for None): premultiplied RGBA over nothing.

        Args:
            frames: triangle to camera, [scale * rotation | origin]; see `frames_in_camera`.
            tint: added to the spherical harmonics of degree 0.
            fade: added to the logit opacities.
        """
        ...


def open_splatter(device: str = "cpu") -> Splatter:
    """The splatter of a device: the numba kernels on "cpu", gsplat on "cuda".

    Raises:
        UserError: if it cannot be used here.
    """
    if device == "cpu":
        from avatar.creation.training.cpu.splatter import CpuSplatter

        return CpuSplatter()
    if device == "cuda":
        from avatar.creation.training.gsplat_splatter import GsplatSplatter

        return GsplatSplatter()
    raise UserError(f"cannot train on {device!r}: choose cpu or cuda")
