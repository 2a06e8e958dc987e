"""What every renderer offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.flame.params import FlameParams
from avatar.rig import Avatar

__all__ = ["BUFFERS", "Background", "DrawsInMemory", "Renderer", "RendererUnavailableError", "to_bgra"]

BUFFERS = 4
"""A picture that `Renderer.draw` returns stays untouched until so many more have been drawn."""

Background = tuple[float, float, float] | None
"""RGB in 0..1, or None for a transparent background."""


class RendererUnavailableError(RuntimeError):
    """A backend cannot work on this machine, or has stopped working: the message is one line that says why."""


@runtime_checkable
class Renderer(Protocol):
    """Draws clouds and avatars. One thread at a time; a second caller waits."""

    @property
    def name(self) -> str:
        """The backend in use."""
        ...

    @property
    def device(self) -> str:
        """What it draws with, for people."""
        ...

    @property
    def is_software(self) -> bool:
        """Whether a driver for GPUs draws on the CPU after all."""
        ...

    @property
    def preparing(self) -> float | None:
        """While it draws in a makeshift way, because what it needs is still being made: the share done, 0..1."""
        ...

    @property
    def stages_ms(self) -> dict[str, float]:
        """What the stages of the last picture cost, milliseconds."""
        ...

    def render(
        self, cloud: GaussianCloud, camera: Camera, background: Background = None
    ) -> Float32[np.ndarray, "h w 4"]:
        """Draw a cloud: premultiplied RGBA, opaque where a background is given. A new array each time."""
        ...

    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Pose an avatar and draw it, the fast way.

        Args:
            params: a single pose.
            max_gaussians: level of detail: only the so many most important Gaussians.

        Returns:
            BGRA, premultiplied. The array is the caller's until `BUFFERS` - 1 later pictures have been drawn.
        """
        ...

    def draw_on_device(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> Any:
        """As `draw`, but the bytes stay where they were drawn, in the backend's own kind of array, and may not be there
        yet: `finish` waits for them."""
        ...

    def finish(self) -> None:
        """Wait for everything that was handed over."""
        ...

    def close(self) -> None:
        """Give back what is held. A closed renderer must not be used again; closing twice is fine."""
        ...


class DrawsInMemory(ABC):
    """What is the same in every backend whose pictures come out in main memory."""

    is_software = False

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}
        """What the stages of the last picture cost, milliseconds."""

    @property
    def preparing(self) -> float | None:
        """See `Renderer.preparing`; None for those who are ready when they are open."""
        return None

    @abstractmethod
    def draw(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """See `Renderer.draw`."""

    def draw_on_device(
        self,
        avatar: Avatar,
        params: FlameParams,
        camera: Camera,
        background: Background = None,
        max_gaussians: int | None = None,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """`draw`: memory is where the picture is."""
        return self.draw(avatar, params, camera, background, max_gaussians)

    def finish(self) -> None:
        """There is nothing to wait for: `draw` returns when the picture is there."""
        return


def to_bgra(image: Float[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Premultiplied RGBA of 0..1 as premultiplied BGRA bytes, rounded to nearest."""
    clipped = np.clip(image, 0, 1)
    clipped[..., :3] = np.minimum(clipped[..., :3], clipped[..., 3:])  # Qt needs color <= alpha
    return np.ascontiguousarray((clipped[..., [2, 1, 0, 3]] * 255 + 0.5).astype(np.uint8))
