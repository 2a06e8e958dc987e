"""The CPU backend: tile-based Gaussian splatting in numba."""

from __future__ import annotations

from avatar.render.cpu.renderer import CpuRenderer

__all__ = ["CpuRenderer"]
