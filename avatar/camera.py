"""A pinhole camera in OpenCV's axes (+x right, +y down, +z forward)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from avatar.errors import UserError

__all__ = ["PRESETS", "Camera", "Framing"]


@dataclass(frozen=True)
class Framing:
    """Where a camera looks from: degrees around the head, metres, and what it aims at."""

    yaw_deg: float = 0.0
    """Towards the subject's left for positive values."""
    pitch_deg: float = 0.0
    """Above the subject for positive values."""
    distance_m: float = 1.0
    target: tuple[float, float, float] = (0.0, -0.02, -0.03)
    fov_deg: float = 20.0
    """Field of view of the smaller side of the picture, so that the head fits whatever its shape."""


PRESETS: dict[str, Framing] = {
    "portrait": Framing(pitch_deg=1.6, target=(0.0, -0.005, -0.03), fov_deg=23.0),
    "face": Framing(target=(0.0, 0.005, 0.0), fov_deg=14.0),
    "close": Framing(target=(0.0, -0.015, 0.03), fov_deg=9.0),
    "mouth": Framing(target=(0.0, -0.045, 0.04), fov_deg=5.0),
    "three-quarter": Framing(yaw_deg=35.0, pitch_deg=1.6, target=(0.0, -0.005, -0.03), fov_deg=23.0),
    "profile": Framing(yaw_deg=88.0, pitch_deg=1.6, target=(0.0, -0.005, -0.03), fov_deg=23.0),
}
"""Named framings; `portrait` is that of a video call: the camera stands as high as the eyes and looks down by so little
that they come to lie in the upper half of the picture."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A view: `viewmat` takes world to camera, `K` camera to pixels; pixel centres lie at +0.5."""

    viewmat: Float32[np.ndarray, "4 4"]
    K: Float32[np.ndarray, "3 3"]
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, shape in (("viewmat", (4, 4)), ("K", (3, 3))):
            value = np.ascontiguousarray(getattr(self, name), np.float32)
            if value.shape != shape:
                raise ValueError(f"Camera.{name}: expected shape {shape}, got {value.shape}")
            object.__setattr__(self, name, value)
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Camera: expected a size of at least 1 x 1, got {self.width} x {self.height}")

    @classmethod
    def orbit(
        cls,
        width: int,
        height: int,
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        distance_m: float = 1.0,
        target: tuple[float, float, float] = (0.0, -0.02, -0.03),
        fov_deg: float = 20.0,
    ) -> Camera:
        """A camera on a sphere around `target` (+y up), looking at it.

        Args:
            fov_deg: as of a `Framing`.
        """
        yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        back = np.array([sy * cp, sp, cy * cp])  # from the target to the camera
        right = np.array([cy, 0.0, -sy])
        down = np.cross(-back, right)
        rotation = np.stack([right, down, -back])
        position = np.asarray(target) + distance_m * back
        viewmat = np.eye(4, dtype=np.float32)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ position
        focal = 0.5 * min(width, height) / math.tan(math.radians(fov_deg) / 2)
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
        return cls(viewmat, K, width, height)

    @classmethod
    def framed(cls, framing: Framing, width: int, height: int) -> Camera:
        """The camera of a framing."""
        return cls.orbit(
            width,
            height,
            framing.yaw_deg,
            framing.pitch_deg,
            framing.distance_m,
            framing.target,
            framing.fov_deg,
        )

    @classmethod
    def preset(cls, name: str, width: int, height: int) -> Camera:
        """A named framing.

        Raises:
            UserError: for a name that is not in `PRESETS`.
        """
        if name not in PRESETS:
            raise UserError(f"unknown camera {name!r}: choose one of {', '.join(PRESETS)}")
        return cls.framed(PRESETS[name], width, height)

    @property
    def position(self) -> Float32[np.ndarray, "3"]:
        """The camera's centre in world coordinates, metres."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]
