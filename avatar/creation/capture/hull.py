"""Hair from many sides: what lies within the person's outline in every picture is the head and what grows on it.

Reference: Laurentini, "The visual hull concept for silhouette-based image understanding", 1994.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy import ndimage
from scipy.spatial import cKDTree

from avatar.creation.capture.shell import frames_of, plain_splats
from avatar.creation.forge.splats import Splats
from avatar.flame.head import HeadModel
from avatar.tracking.fit import FaceFit, Intrinsics
from avatar.tracking.matte import Matte

__all__ = ["hair_hull"]

_LOW, _HIGH = np.array([-0.17, -0.09, -0.24]), np.array([0.17, 0.24, 0.10])
"""Of the head's frame, metres: around everything that hair may fill."""
_CELL_M = 0.004
_IN = 0.5
_SHARE = 0.94
"""Of the pictures, so many must agree: mattes err, and heads are not quite where they were tracked."""
_OFF_SKIN_M = 0.003
_TOLD_M, _MOST, _BACK = ((-0.2, 0.03, -0.1), (0.2, 0.3, -0.04)), 0.95, 1.5
"""Where outlines tell of hair (above the ears), the quantile that counts as its thickness there, and how much of that
it may be elsewhere."""
_AROUND = 12
"""Neighbours whose mean color a part has that no picture shows."""
_FLATTEST = 0.25
"""Least cosine between a surface and the line of sight whose picture gives it its color."""


def hair_hull(
    head: HeadModel,
    fits: Sequence[FaceFit],
    lenses: Sequence[Intrinsics],
    mattes: Sequence[Matte],
    carriers: tuple[Float[np.ndarray, "t 3"], np.ndarray],
    tell: Callable[[float], None] = lambda share: None,
) -> Splats:
    """Splats on the hull where it stands off the skin, in the head's frame at rest.

    Args:
        fits, lenses, mattes: of each picture.
        carriers: centres and numbers of the triangles that may carry hair.
    """
    axes = [np.arange(low, high, _CELL_M) for low, high in zip(_LOW, _HIGH, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    within = _within(grid.reshape(-1, 3), fits, lenses, mattes, tell).reshape(grid.shape[:3])
    soft = ndimage.gaussian_filter(within.astype(np.float64), 1.2)
    solid = soft > 0.5
    off = _off_skin(head, grid[solid])
    solid[solid] = off < _BACK * _thickness(grid[solid], off)
    surface = solid & ~ndimage.binary_erosion(solid)
    points = grid[surface]
    if not len(points):
        none = np.zeros((0, 3))
        return plain_splats(none, np.zeros((0, 3, 3)), none, np.zeros(0), none, np.zeros(0, int))
    slope = np.stack(np.gradient(ndimage.gaussian_filter(soft, 1.0)), -1)[surface]
    steep = np.linalg.norm(slope, axis=1, keepdims=True)
    normals = -slope / np.maximum(steep, 1e-9)
    keep = _is_hair(head, points) & (steep[:, 0] > 1e-6)
    points, normals = points[keep], normals[keep]
    colours, seen = _colours(points, normals, fits, lenses, mattes)
    if seen.any():  # the back goes on as what is seen of its sides
        _, near = cKDTree(points[seen]).query(points[~seen], k=np.arange(1, min(_AROUND, seen.sum()) + 1))
        colours[~seen] = colours[seen][near].mean(1)
    scales = np.tile(_CELL_M * np.array([0.75, 0.75, 0.35]), (len(points), 1))
    _, nearest = cKDTree(carriers[0]).query(points)
    return plain_splats(points, frames_of(normals), scales, 0.9, colours, carriers[1][nearest])


def _off_skin(head: HeadModel, points: Float[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """How far points lie off the skin, metres; negative within the head."""
    places, faces = head.v_template.double().numpy(), head.faces.numpy()
    corners = places[faces[np.isin(faces, head.regions["skin"].numpy()).all(1)]]
    outwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    distance, nearest = cKDTree(corners.mean(1)).query(points)
    side = ((points - corners.mean(1)[nearest]) * outwards[nearest]).sum(1)
    return np.where(side > 0, distance, -distance)


def _thickness(points: Float[np.ndarray, "n 3"], off_m: Float[np.ndarray, " n"]) -> float:
    """How far hair stands off the skin where outlines tell, above and beside the face; behind, where nobody looked
    from, they agree on a wedge."""
    low, high = _TOLD_M
    told = off_m[(points > low).all(1) & (points < high).all(1) & (off_m > 0)]
    return max(float(np.quantile(told, _MOST)), _OFF_SKIN_M) if len(told) else _OFF_SKIN_M


def _pixels(
    points: Float[np.ndarray, "n 3"], fit: FaceFit, lens: Intrinsics, matte: Matte
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Columns and rows of a picture's pixels, and which of them are within it; the others at its border."""
    seen = points @ fit.rotation.T + fit.translation
    at = np.floor(lens.focal * seen[:, :2] / seen[:, 2:] + [lens.x, lens.y]).astype(int)
    height, width = matte.alpha.shape
    x, y = at.clip(0, [width - 1, height - 1]).T
    return x, y, ((at >= 0) & (at < [width, height])).all(1)


def _within(
    points: Float[np.ndarray, "n 3"],
    fits: Sequence[FaceFit],
    lenses: Sequence[Intrinsics],
    mattes: Sequence[Matte],
    tell: Callable[[float], None],
) -> Bool[np.ndarray, " n"]:
    hits, shown = np.zeros(len(points)), np.zeros(len(points))
    for k, (fit, lens, matte) in enumerate(zip(fits, lenses, mattes, strict=True)):
        tell(k / len(fits))
        x, y, framed = _pixels(points, fit, lens, matte)
        hits += framed & (matte.alpha[y, x] > _IN)
        shown += framed
    return (shown > 0.5 * len(fits)) & (hits >= _SHARE * shown)


def _is_hair(head: HeadModel, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Off the skin, not before the face, and not the neck."""
    skin = head.regions["skin"].numpy()
    places = head.v_template.double().numpy()
    distance, nearest = cKDTree(places[skin]).query(points)
    at_face = np.isin(skin[nearest], head.regions["face"].numpy())
    chin = places[head.regions["face"].numpy(), 1].min()
    return (distance > _OFF_SKIN_M) & ~at_face & (points[:, 1] > chin)


def _colours(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    fits: Sequence[FaceFit],
    lenses: Sequence[Intrinsics],
    mattes: Sequence[Matte],
) -> tuple[Float64[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]:
    """From the picture that sees a place most squarely; and whether any does."""
    best, colours = np.full(len(points), -1.0), np.zeros((len(points), 3))
    for fit, lens, matte in zip(fits, lenses, mattes, strict=True):
        eye = -fit.rotation.T @ fit.translation
        view = eye - points
        cosine = (view * normals).sum(1) / np.linalg.norm(view, axis=1)
        x, y, framed = _pixels(points, fit, lens, matte)
        better = framed & (matte.alpha[y, x] > _IN) & (cosine > best)
        best[better] = cosine[better]
        colours[better] = matte.foreground[y[better], x[better]]
    return colours, best > _FLATTEST
