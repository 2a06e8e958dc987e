"""Hair and clothes of a photo as a closed shell: the outline inflated, filled with the photo's colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from avatar.creation.capture.depth import DepthPicture
from avatar.creation.capture.layers import Layers
from avatar.creation.forge.splats import SH_DC, Splats, concatenate
from avatar.creation.forge.surface import poisson_disk
from avatar.tracking.fit import FaceFit, Intrinsics
from avatar.tracking.matte import Matte

__all__ = ["ShellPlace", "frames_of", "grow_shell", "inflate", "plain_splats"]

_LIFT_M = 0.012
_LIFT_FROM_M = 0.03
"""Hair stands off the skin it covers by up to the first, reached so far from where skin shows."""
_STEEPEST = 5.0
_CANDIDATES = 6
_BACK_SHADE = 0.82
_STEEP_COSINE = 0.3
_BEHIND_M = 0.02
_THICK_M = 0.01
"""Between front and back, at least."""
_CLOTHES = 2.0
"""Spacing on clothes, relative to that on hair."""
_DRAPE_M = 0.06
"""So far beside the body clothes follow it."""
_TEXTURE_REACH = 0.35
"""How far into the figure colours of steep and hidden parts are taken from, relative to the distance to the outline."""


@dataclass(frozen=True, eq=False)
class ShellPlace:
    """Where the figure stands: camera-space depths, and rows of the picture."""

    fit: FaceFit
    intrinsics: Intrinsics
    head_depth: float
    """Of the middle of the head, metres."""
    shoulder_depth: float
    chin_row: float
    face_height: float
    bust_row: float
    """Below it nothing is kept."""


def inflate(mask: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """Squared height of a cushion over a mask, pixels squared: of a disc, a hemisphere.

    u solves Laplace(u) = -4 inside with 0 outside; at half the resolution.
    """
    small = mask[::2, ::2]
    number = np.full(small.shape, -1)
    number[small] = np.arange(small.sum())
    padded = np.pad(number, 1, constant_values=-1)
    rows, columns = [], []
    height, width = small.shape
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        other = padded[dy : dy + height, dx : dx + width]
        at_edge = np.zeros(small.shape, bool)  # the picture's border cuts the figure off: it goes on behind it
        if dy != 1:
            at_edge[0 if dy == 0 else -1] = True
        if dx != 1:
            at_edge[:, 0 if dx == 0 else -1] = True
        pairs = small & (other >= 0)
        rows.append(number[pairs])
        columns.append(other[pairs])
        mirrored = small & at_edge
        rows.append(number[mirrored])
        columns.append(number[mirrored])
    rows_, columns_ = np.concatenate(rows), np.concatenate(columns)
    n = int(small.sum())
    out = np.zeros(small.shape)
    if n:
        system = sparse.identity(n) * 4.0005 - sparse.coo_matrix((np.ones(len(rows_)), (rows_, columns_)), (n, n))
        out[small] = splu(system.tocsc()).solve(np.full(n, 16.0))
    full = Image.fromarray(out.astype(np.float32)).resize(mask.shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(full, np.float64).clip(0) * mask


def grow_shell(
    layers: Layers,
    matte: Matte,
    mesh: DepthPicture,
    place: ShellPlace,
    spacing_m: float,
    carriers: tuple[Float[np.ndarray, "t 3"], np.ndarray],
    body: tuple[Float[np.ndarray, "t 3"], np.ndarray],
    seed: int = 0,
) -> tuple[Splats, Float64[np.ndarray, " n"]]:
    """The shell's splats, in the head's frame, posed as in the photo; and how far the photo may correct each.

    Args:
        mesh: the posed head as the photo's camera sees it.
        spacing_m: between neighbours, on the side of the head that the photo shows; clothes are coarser.
        carriers: centres and numbers of the triangles that may carry hair: those that no expression moves.
        body: the same of those that carry clothes: a head that turns does not move them.
    """
    fit, camera = place.fit, place.intrinsics
    metres = place.head_depth / camera.focal
    rows = np.arange(layers.rest.shape[0])[:, None]
    layer = layers.rest & (rows < place.bust_row)
    if layer.sum() < 20:
        none = np.zeros((0, 3))
        return plain_splats(none, np.zeros((0, 3, 3)), none, np.zeros(0), none, np.zeros(0, int)), np.zeros(0)
    front, back = _depths(layer, layers, mesh, place, metres)
    alpha = np.clip(matte.alpha * 1.1 - 0.05, 0, 1)
    rng = np.random.default_rng(seed)
    parts, trust = [], []
    safe = ndimage.binary_erosion(layers.rest, iterations=max(1, round(layers.face_width / 90)))
    inward = _inward(layers.person, safe if safe.any() else layer)
    margin = max(1, round(_BEHIND_M / metres))
    behind = layer & ~ndimage.binary_erosion(np.isfinite(mesh.depth), iterations=margin)
    low = np.clip((rows - place.chin_row) / (0.35 * place.face_height), 0, 1) * np.ones_like(front)
    for depth, where, coarser, shade, sign in ((front, layer, 1.0, 1.0, -1.0), (back, behind, 1.8, _BACK_SHADE, 1.0)):
        spacing = coarser * spacing_m * (1 + (_CLOTHES - 1) * low)
        points, normals, at, apart = _sample(depth, where, spacing, metres, place, rng, sign)
        y, x = at.T
        flat = np.clip(np.abs(normals[:, 2]) / _STEEP_COSINE - 0.5, 0, 1) if sign < 0 else np.zeros(len(at))
        y_in, x_in = inward[y, x].T
        colour = shade * (flat[:, None] * matte.foreground[y, x] + (1 - flat[:, None]) * matte.foreground[y_in, x_in])
        world = (points - fit.translation) @ fit.rotation
        turned = np.einsum("ba,nbc->nac", fit.rotation, frames_of(normals))
        scale = apart[:, None] * [0.62, 0.62, 0.2]
        opacity = 0.97 * alpha[y, x] if sign < 0 else np.full(len(points), 0.95)
        hair_on, clothes_on = (numbers[cKDTree(centres).query(world)[1]] for centres, numbers in (carriers, body))
        on = np.where(layers.clothes[y, x], clothes_on, hair_on)
        keep = opacity > 0.06
        parts.append(plain_splats(world, turned, scale, opacity, colour, on).select(keep))
        trust.append((flat * np.clip(2 * alpha[y, x] - 1, 0, 1))[keep])
    return concatenate(parts), np.concatenate(trust)


def plain_splats(
    positions: np.ndarray,
    frames: np.ndarray,
    scales: np.ndarray,
    opacities: np.ndarray | float,
    colours: np.ndarray,
    triangles: np.ndarray,
) -> Splats:
    """Splats of one colour from every side."""
    sh = np.zeros((len(positions), 9, 3))
    sh[:, 0] = (np.clip(colours, 0, 1) - 0.5) / SH_DC
    return Splats(positions, frames, scales, np.broadcast_to(opacities, (len(positions),)).astype(float), sh, triangles)


def _depths(
    layer: np.ndarray, layers: Layers, mesh: DepthPicture, place: ShellPlace, metres: float
) -> tuple[np.ndarray, np.ndarray]:
    """Front and back of the shell, camera-space metres."""
    rows = np.arange(layer.shape[0])[:, None]
    low = np.clip((rows - place.chin_row) / (0.35 * place.face_height), 0, 1)
    middle = place.head_depth * (1 - low) + place.shoulder_depth * low
    half = np.sqrt(inflate(layers.person)) * metres
    half = np.minimum(half, 0.11)
    covered = np.isfinite(mesh.depth)
    bare = ~layer & layers.person
    # What hangs beside the face is round by itself, about the plane of the ears.
    beside = layer & ~covered & (low < 1)
    hanging = np.sqrt(inflate(beside)) * metres
    round_front = middle - half * (1 - 0.3 * low)
    hung_front = (1 - low) * (middle - np.minimum(hanging, 0.05)) + low * (middle - 0.7 * half)
    front = np.where(covered, round_front, hung_front)
    apart = ndimage.distance_transform_edt(~bare) * metres
    lift = _LIFT_M * np.clip(apart / _LIFT_FROM_M, 0, 1) ** 0.7 + 0.001
    laid = np.where(covered, mesh.depth - lift, np.nan)
    front = _on_body(front, layers.clothes, laid, _DRAPE_M / metres)
    solid = np.where(covered, mesh.depth, 0.0)
    soft = ndimage.gaussian_filter(solid, 1.0) / np.maximum(ndimage.gaussian_filter(covered.astype(float), 1.0), 1e-6)
    near = np.exp(-((apart / 0.012) ** 2))
    lying = np.where(covered, np.minimum(front, laid) * (1 - near) + (soft - lift) * near, front)
    front = _smoothed(lying, layer, max(1.0, 0.0022 / metres))
    front = np.where(covered, np.minimum(front, mesh.depth - 0.0008), front)
    back = middle + np.where(covered, half, np.minimum(hanging, 0.05))
    back = _smoothed(back, layer, max(1.0, 0.004 / metres))
    return front, np.maximum(back, front + _THICK_M)


def _on_body(
    front: Float[np.ndarray, "h w"],
    clothes: Bool[np.ndarray, "h w"],
    body: Float[np.ndarray, "h w"],
    reach: float,
) -> Float64[np.ndarray, "h w"]:
    """Clothes lie on the body where it is known (NaN elsewhere), and beside it go on from there to the cushion."""
    known = clothes & np.isfinite(body)
    if not known.any():
        return front
    off = np.where(known, np.nan_to_num(body) - front, 0.0)
    distance, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    carried = _smoothed(off, known, reach / 4)[tuple(nearest)] * np.exp(-np.square(distance / reach))
    return np.asarray(np.where(clothes, front + np.where(known, off, carried), front))


def _smoothed(values: np.ndarray, where: np.ndarray, radius: float) -> np.ndarray:
    weight = ndimage.gaussian_filter(where.astype(float), radius)
    return ndimage.gaussian_filter(np.where(where, values, 0), radius) / np.maximum(weight, 1e-6)


def _inward(person: np.ndarray, source: np.ndarray) -> np.ndarray:
    """For each pixel one further inside the figure, (h, w, 2): steep parts carry on the texture of flat ones."""
    distance = ndimage.distance_transform_edt(person)
    gy, gx = np.gradient(ndimage.gaussian_filter(distance, 3))
    length = np.hypot(gx, gy) + 1e-6
    step = 4 + _TEXTURE_REACH * distance
    y, x = np.mgrid[: person.shape[0], : person.shape[1]]
    to = np.stack([y + step * gy / length, x + step * gx / length], -1)
    to = to.round().astype(int).clip(0, np.array(person.shape) - 1)
    nearest = ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)
    return np.stack([nearest[0][to[..., 0], to[..., 1]], nearest[1][to[..., 0], to[..., 1]]], -1)


def _sample(
    depth: np.ndarray,
    where: np.ndarray,
    spacing: np.ndarray,
    metres: float,
    place: ShellPlace,
    rng: np.random.Generator,
    sign: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points evenly spread over a height field: camera-space places, normals towards the outside, pixels, spacing."""
    ys, xs = np.nonzero(where)
    if not len(ys):
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 2), int), np.zeros(0)
    filled = np.where(where, depth, _smoothed(depth, where, 3.0))
    gy, gx = np.gradient(filled)
    gx, gy = gx[ys, xs] / metres, gy[ys, xs] / metres
    steep = np.hypot(gx, gy)
    limit = np.minimum(1, _STEEPEST / np.maximum(steep, 1e-9))
    gx, gy, steep = gx * limit, gy * limit, np.minimum(steep, _STEEPEST)
    area = np.sqrt(1 + steep**2)
    wanted = spacing[ys, xs]
    count = rng.poisson(area * _CANDIDATES * np.minimum(1.0, 2 * (metres / wanted) ** 2))
    k = np.repeat(np.arange(len(ys)), count)
    rng.shuffle(k)
    jitter = rng.uniform(-0.5, 0.5, (len(k), 2))
    z = filled[ys[k], xs[k]] + (gx[k] * jitter[:, 0] + gy[k] * jitter[:, 1]) * metres
    x = (xs[k] + 0.5 + jitter[:, 0] - place.intrinsics.x) / place.intrinsics.focal * z
    y = (ys[k] + 0.5 + jitter[:, 1] - place.intrinsics.y) / place.intrinsics.focal * z
    points = np.stack([x, y, z], 1)
    kept = poisson_disk(points, wanted[k])
    k, points = k[kept], points[kept]
    normals = np.stack([sign * -gx[k], sign * -gy[k], np.full(len(k), sign)], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return points, normals, np.stack([ys[k], xs[k]], 1), wanted[k]


def frames_of(normals: np.ndarray) -> np.ndarray:
    """Rotations (n, 3, 3) whose last axis is a normal."""
    helper = np.where(np.abs(normals[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(helper, normals)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(normals, first), normals], 2)
