"""The gsplat backend: posing and rasterization on an NVIDIA GPU. Importing this loads neither gsplat nor CUDA."""

from __future__ import annotations

from avatar.render.gsplat.availability import unavailable_reason
from avatar.render.gsplat.renderer import GsplatRenderer

__all__ = ["GsplatRenderer", "unavailable_reason"]
