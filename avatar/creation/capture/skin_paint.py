"""The photo's colours on the head's skin: what is seen, its mirror image, and a smooth continuation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from avatar.camera import Camera
from avatar.creation.capture.depth import depth_picture, project
from avatar.creation.capture.layers import Layers
from avatar.creation.capture.person_head import graph
from avatar.creation.capture.shell import plain_splats
from avatar.creation.forge.splats import Splats
from avatar.creation.forge.surface import SkinSurface, SurfacePoints
from avatar.flame.head import HeadModel

__all__ = ["Laid", "Painted", "SkinBody", "SkinSight", "lay_skin", "paint", "see_skin"]

_TOLERANCE_M = 0.0025
_FLAT, _STEEP = 0.6, 0.25
"""Cosines between skin and line of sight: trusted from the first on, not at all under the second."""
_OUTLINE_M = 0.02
_MIRROR_TRUST = 0.3
_SURE = 60.0
_TURNING, _TORSO, _LIKELY = 0.1, 0.95, 0.05
"""Share of the body up to which a vertex is the head's and from which on the torso's, and how sure it is that unseen
parts of that are dressed as others."""
_HAIRLINE = 0.2
"""How sharply skin becomes hair or clothes where neither is seen."""
_CROWN_M = 0.095
"""Height from which on the head is its crown."""
_DOUBT = 2.0
"""Power of the trust in what is seen, where it is continued: what is seen at a slant has a sheen of its own."""
_SUPER = 2
_PRECISE, _MOST_ROUNDS = 1e-7, 2000


_PINK = np.array([0.5, -1.0, 0.5])
"""Lips differ from skin between green and magenta; both are as saturated."""


@dataclass(frozen=True, eq=False)
class SkinBody:
    """The skin of a head, refined, and which of it is what."""

    head: HeadModel
    surface: SkinSurface
    on_lid: np.ndarray
    """Of each dense triangle."""
    lips: Float64[np.ndarray, " n"]
    """Of each dense vertex, 0..1."""
    scalp: Bool[np.ndarray, " n"]
    """Where hair grows on a head that has some, of each dense vertex."""
    still: Float64[np.ndarray, " n"]
    """Share of each dense vertex that is the body's: 0 where a head that turns takes it along."""

    @classmethod
    def of(cls, head: HeadModel) -> SkinBody:
        """The head must be a mesh of quads, cut in two one after the other, as ours are."""
        faces = head.faces.numpy()
        quads = np.concatenate([faces[0::2], faces[1::2, 2:]], 1)
        regions = {name: index.numpy() for name, index in head.regions.items()}
        skin = np.flatnonzero(np.isin(quads, regions["skin"]).all(1))
        surface = SkinSurface.from_head(
            head.v_template.double().numpy(), faces, skin, head.uv.double().numpy(), head.faces_uv.numpy()
        )
        lids = np.concatenate(
            [regions[f"{row}_lid_{side}"] for row in ("upper", "lower") for side in ("left", "right")]
        )
        lid = np.isin(quads[skin], lids).all(1)
        children = len(surface.triangles) // len(skin)
        lips = np.zeros(head.n_vertices)
        lips[regions["lips"]] = 1
        return cls(
            head,
            surface,
            np.repeat(lid, children),
            surface.refine @ lips,
            _scalp(surface.refine @ head.v_template.double().numpy()),
            surface.refine @ head.lbs_weights[:, 0].double().numpy(),
        )


@dataclass(frozen=True, eq=False)
class SkinSight:
    """What one picture shows of the skin, for each dense vertex."""

    colours: Float64[np.ndarray, "n 3"]
    trust: Float64[np.ndarray, " n"]
    """0..1; 0 where it is hidden, outside the picture, or where an eye or teeth are seen instead."""
    covered: Float64[np.ndarray, " n"]
    """1 where hair or clothes are seen on it."""


@dataclass(frozen=True, eq=False)
class Painted:
    """A colour for every dense vertex."""

    colours: Float64[np.ndarray, "n 3"]
    seen: Float64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Laid:
    """Splats, the pose of the head that they were laid on, and how far a photo may correct each, 0..1."""

    splats: Splats
    vertices: Float[np.ndarray, "v 3"]
    trust: Float[np.ndarray, " n"]


def _scalp(vertices: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Of the head as it ships: above the forehead, above the ears, behind them."""
    y, z = vertices[:, 1], vertices[:, 2]
    return ((y > 0.085) & (z < 0.04)) | ((y > 0.045) & (z < -0.02)) | ((y > -0.02) & (z < -0.055))


def see_skin(
    body: SkinBody,
    posed: Float[np.ndarray, "v 3"],
    camera: Camera,
    image: Float[np.ndarray, "h w 3"],
    layers: Layers,
) -> SkinSight:
    """Look up the picture's colours at the posed skin."""
    surface = body.surface.posed(posed)
    faces = body.head.faces.numpy()
    skin = np.isin(faces, body.head.regions["skin"].numpy()).all(1)
    inside = faces[~skin]
    every = np.concatenate([surface.vertices, posed])
    fine = Camera(
        camera.viewmat, camera.K * np.array([[_SUPER], [_SUPER], [1]]), camera.width * _SUPER, camera.height * _SUPER
    )
    picture = depth_picture(every, np.concatenate([surface.triangles, inside + len(surface.vertices)]), fine)
    near = ndimage.minimum_filter(picture.depth, 3)
    pixels, depth = project(surface.vertices, camera)
    at_fine = (pixels * _SUPER).astype(int).clip(0, [fine.width - 1, fine.height - 1])
    visible = depth < near[at_fine[:, 1], at_fine[:, 0]] + _TOLERANCE_M
    view = camera.position - surface.vertices
    cosine = (view * surface.normals).sum(1) / np.linalg.norm(view, axis=1)
    margin = max(1, round(layers.face_width / 120))
    usable = ndimage.binary_erosion(layers.person, iterations=2 * margin) & ~ndimage.binary_dilation(
        layers.features, iterations=margin
    )
    at = pixels.astype(int).clip(0, [camera.width - 1, camera.height - 1])
    framed = ((pixels > 1) & (pixels < [camera.width - 1, camera.height - 1])).all(1)
    trust = np.clip((cosine - _STEEP) / (_FLAT - _STEEP), 0, 1) * (visible & framed & usable[at[:, 1], at[:, 0]])
    # Beside an outline of the face itself (chin, jaw, nose) another part is soon seen: fits are not that exact.
    jump = ndimage.maximum_filter(np.where(np.isfinite(picture.depth), picture.depth, 9.0), _SUPER * margin + 1)
    jump = jump - ndimage.minimum_filter(picture.depth, _SUPER * margin + 1) > _OUTLINE_M
    jump = (
        jump[at_fine[:, 1], at_fine[:, 0]]
        & ~ndimage.binary_dilation(layers.features, iterations=6 * margin)[at[:, 1], at[:, 0]]
    )
    trust *= np.where(jump, 0.01, 1.0)
    edge = ndimage.binary_dilation(layers.rest, iterations=margin) & ~ndimage.binary_erosion(
        layers.rest, iterations=margin
    )
    trust *= np.where(edge[at[:, 1], at[:, 0]], 0.05, 1.0)
    clothes = ndimage.binary_dilation(layers.clothes, iterations=4 * margin)  # a chin is not quite where it is seen
    trust[(body.still < _TURNING) & clothes[at[:, 1], at[:, 0]]] = 0.0
    return SkinSight(sample(image, pixels), trust, layers.rest[at[:, 1], at[:, 0]].astype(float))


def sample(image: Float[np.ndarray, "h w c"], pixels: Float[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n c"]:
    """Bilinear; the border's values outside."""
    at = [pixels[:, 1] - 0.5, pixels[:, 0] - 0.5]
    return np.stack(
        [ndimage.map_coordinates(image[..., c], at, order=1, mode="nearest") for c in range(image.shape[2])], 1
    )


def paint(body: SkinBody, sights: list[SkinSight], tell: Callable[[], None] = lambda: None) -> Painted:
    """One colour for each vertex, from all pictures; what none of them shows comes from the other side of the face, and
    what neither side shows from what is around it.

    Args:
        tell: called between the steps.
    """
    trust = np.sum([s.trust**2 for s in sights], 0)
    values = np.sum([s.trust[:, None] ** 2 * np.c_[s.colours, s.covered] for s in sights], 0)
    values /= np.maximum(trust, 1e-9)[:, None]
    seen = np.clip(np.max([s.trust for s in sights], 0), 0, 1)
    vertices = body.surface.vertices
    _, mirror = cKDTree(vertices).query(vertices * [-1, 1, 1])
    borrowed = _MIRROR_TRUST * seen[mirror] * np.clip(1 - seen / 0.3, 0, 1)
    known = seen + borrowed
    values = (seen[:, None] * values + borrowed[:, None] * values[mirror]) / np.maximum(known, 1e-9)[:, None]
    colours = values[:, :3]
    red = (body.lips > 0.6) & (known > 0.5)
    pale = (body.lips > 0.6) & (known < 0.3)
    if red.sum() > 20 and pale.any():  # the inside of the lips: as the pinkest half of what is seen of them
        pink = colours[red] @ _PINK
        colours[pale] = colours[red][pink >= np.median(pink)].mean(0)
        known[pale] = 0.15
    adjacency = graph(body.surface.triangles, len(vertices))
    tell()
    _dress(body, values, known)
    known = known**_DOUBT
    covered = _continued(*_haired(body, values[:, 3:], known), adjacency)[:, 0]
    # Skin continues as skin and hair as hair: between them the eye expects a hairline, not a mixture.
    tell()
    bare = _continued(colours, known * (values[:, 3] < 0.5), adjacency)
    tell()
    worn = np.clip((body.still - _TURNING) / (1 - _TURNING), 0, 1)[:, None]  # hair continues hair, clothes clothes
    hair, dress = (
        _continued(colours, known * (values[:, 3] >= 0.5) * ((body.still >= 0.5) == on_body), adjacency)
        for on_body in (False, True)
    )
    hidden = hair + worn * (dress - hair)
    share = np.clip((covered - 0.5) / _HAIRLINE + 0.5, 0, 1)[:, None]
    return Painted(bare + share * (hidden - bare), seen)


def _dress(body: SkinBody, values: Float64[np.ndarray, "n 4"], known: Float64[np.ndarray, " n"]) -> None:
    """Whose chest is dressed has no bare back: what is not seen of the torso has the clothes' usual color. In place."""
    torso = body.still > _TORSO
    seen = torso & (known > _LIKELY)
    worn = seen & (values[:, 3] > 0.5)
    if worn.sum() > 0.5 * seen.sum():
        back = torso & (known <= _LIKELY)
        values[back] = np.median(values[worn], 0)
        known[back] = _LIKELY


def _haired(
    body: SkinBody, covered: Float64[np.ndarray, "n 1"], known: Float64[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, "n 1"], Float64[np.ndarray, " n"]]:
    """Who has hair above the forehead has some behind it: what is hidden of the scalp is likely covered."""
    seen = body.scalp & (known > _LIKELY)
    crown = seen & (body.surface.vertices[:, 1] > _CROWN_M)
    if not covered[crown].sum() > 0.5 * crown.sum():
        return covered, known
    behind = body.scalp & ~seen
    return np.where(behind[:, None], 1.0, covered), np.where(behind, _LIKELY, known)


def _continued(
    values: Float64[np.ndarray, "n c"],
    known: Float64[np.ndarray, " n"],
    adjacency: sparse.csr_matrix,
    smooth: float = 1e-3,
) -> Float64[np.ndarray, "n c"]:
    """Harmonic over the mesh between what is known; conjugate gradients, three times as fast as a factorisation."""
    degree = np.asarray(adjacency.sum(1)).ravel()
    diagonal = _SURE * known + degree + smooth
    system = (sparse.diags(diagonal) - adjacency).tocsr()
    mean = (values * known[:, None]).sum(0) / max(known.sum(), 1e-9)
    found = []
    for c in range(values.shape[1]):
        right = _SURE * known * values[:, c] + smooth * mean[c]
        start = np.full(len(known), mean[c])
        found.append(cg(system, right, start, rtol=_PRECISE, maxiter=_MOST_ROUNDS, M=sparse.diags(1 / diagonal))[0])
    return np.stack(found, 1)


def lay_skin(
    body: SkinBody,
    painted: Painted,
    closed: Float[np.ndarray, "v 3"],
    spacing_m: Float[np.ndarray, " n"],
    lid_spacing_m: float = 0.0008,
    seed: int = 0,
) -> list[Laid]:
    """Splats on the skin: a coarse layer just under the surface that leaves no holes, a fine one, and the lids, laid
    closed.

    Args:
        closed: the head's vertices with the eyes shut.
        spacing_m: for each dense vertex, how far apart splats lie.
    """
    rng = np.random.default_rng(seed)
    surface, rest = body.surface, body.surface.head_vertices
    shut = surface.posed(closed)
    lid = np.zeros(len(surface.vertices), bool)
    lid[surface.triangles[body.on_lid].ravel()] = True
    out = []
    for where, spacing, spread, sink, lids, pose in (
        (surface, 2.2 * spacing_m, 1.0, 0.0010, False, rest),
        (surface, spacing_m, 0.75, 0.0, False, rest),
        (shut, np.where(lid, lid_spacing_m, 0.0), 0.9, 0.0, True, closed),
    ):
        points = where.sample(spacing, rng)
        points = points.select(body.on_lid[points.dense] == lids)
        splats = _splats(points, where.carry(painted.colours, points), spread, sink)
        trust = where.carry(painted.seen, points) if sink == 0 and not lids else np.zeros(len(points))
        out.append(Laid(splats, pose, trust))
    return out


def _splats(points: SurfacePoints, colours: np.ndarray, spread: float, sink: float) -> Splats:
    helper = np.where(np.abs(points.normals[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(helper, points.normals)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    frames = np.stack([first, np.cross(points.normals, first), points.normals], 2)
    sigma = spread * points.radius_m
    scales = np.stack([sigma, sigma, 0.16 * sigma], 1)
    return plain_splats(points.positions - sink * points.normals, frames, scales, 0.97, colours, points.carrier)
