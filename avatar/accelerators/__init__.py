"""Optional libraries that do a few things faster, and plain torch that does the same."""

from __future__ import annotations

from avatar.accelerators.geometry import (
    has_pytorch3d,
    laplacian_smoothing_loss,
    nearest_neighbours,
    rasterize_mesh,
)

__all__ = ["has_pytorch3d", "laplacian_smoothing_loss", "nearest_neighbours", "rasterize_mesh"]
