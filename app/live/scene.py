"""What is to be seen: the scene, the request to draw a moment of it, and the image that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from app.backdrop import STUDIO, Backdrop, colour_of, image_of
from app.live.inference import PoseTiming
from avatar.camera import PRESETS, Camera, Framing
from avatar.flame.params import FlameParams
from avatar.rig import Avatar

__all__ = ["Drawn", "ImageRequest", "LiveImage", "Scene"]


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn around the avatar, and how. Immutable; replaced as a whole."""

    framing: Framing = field(default_factory=lambda: PRESETS["portrait"])
    width: int = 512
    height: int = 512
    background: Backdrop = STUDIO
    backdrop: UInt8[np.ndarray, "h w 4"] | None = None
    """BGRA image behind the avatar, of the size of the scene; `background` is then not used."""
    backend: str = "auto"
    images_per_s: float | None = None
    """The pace; None is 60 on a GPU and 40 on the CPU, which leaves the cores some air."""
    max_gaussians: int | None = None
    """A fixed level of detail; None adapts."""


@dataclass(frozen=True, eq=False)
class ImageRequest:
    """All that is needed to draw one image. Immutable, so that any thread may."""

    number: int
    avatar: Avatar
    params: FlameParams
    scene: Scene
    gaussians: int
    """How many of the avatar's are to be drawn."""
    stream_time_s: float
    """The moment of the voice that it shows."""
    timing: PoseTiming | None

    @property
    def background(self) -> tuple[float, float, float] | None:
        """What the renderer draws over; None where the scene is transparent or an image comes behind."""
        return colour_of(self.scene.background) if self.scene.backdrop is None else None

    @property
    def backdrop(self) -> UInt8[np.ndarray, "h w 4"] | None:
        """The BGRA image that is to be put behind what the renderer draws, if there is one."""
        scene = self.scene
        return image_of(scene.background, scene.width, scene.height) if scene.backdrop is None else scene.backdrop

    def camera(self, width: int | None = None, height: int | None = None) -> Camera:
        """The scene's camera for a picture of a size, pixels; of the scene's own if none is given."""
        return Camera.framed(self.scene.framing, width or self.scene.width, height or self.scene.height)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A request that has been drawn, wherever the image is."""

    request: ImageRequest
    draw_ms: float
    """How long drawing took."""
    drawn_s: float
    """It was done (`time.perf_counter`)."""


@dataclass(frozen=True, eq=False)
class LiveImage(Drawn):
    """A picture in memory."""

    bgra: UInt8[np.ndarray, "h w 4"]
    """Premultiplied. The renderer's own buffer: use or copy it before two more images have come."""
