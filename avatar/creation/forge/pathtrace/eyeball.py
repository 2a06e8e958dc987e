"""An eye for the path tracer: sclera and iris, the clear shell before them, tears and the flesh of the inner corner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.anatomy import Anatomy
from avatar.creation.forge.eyeball import IRIS_RADIUS_M, IRIS_Z_M, LIMBUS_DEG, SCLERA_RADIUS_M, surface_radius
from avatar.creation.forge.eyes import IrisColour
from avatar.creation.forge.mesh import sheet_quads
from avatar.creation.forge.noise import gradient_noise, smoothstep
from avatar.creation.forge.pathtrace.light import KEY_POSITION_M
from avatar.creation.forge.pathtrace.scene import Material, Mesh

__all__ = ["Eye", "eye_of"]

_CORNEA = Material("cornea", {"window": KEY_POSITION_M, "window_deg": 17.0, "catchlight": 0.9})

_AROUND = 256
_PUPIL_M = 0.0020
_PUPIL_LIFT_M = 0.0004
_FILM_M = 6e-5
"""Of tears: how far the clear shell stands before the white."""
_SCLERA = np.array([0.70, 0.645, 0.60])


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye at rest, and how it follows the face.

    Attributes:
        side: "left" or "right".
        globe, shell: surfaces that turn with the eyeball.
        ids: the eyeball's vertices in the head.
        margins: the head's vertices along the upper and the lower lid's edge, from the inner corner outwards.
        rest: the head's vertices at rest.
    """

    side: str
    globe: Mesh
    shell: Mesh
    ids: np.ndarray
    margins: tuple[np.ndarray, np.ndarray]
    rest: Float[np.ndarray, "v 3"]

    def meshes(self) -> list[Mesh]:
        """All its objects at rest."""
        places = self.places(self.rest)
        tears = Mesh(
            f"tears_{self.side}",
            _CORNEA,
            places[f"tears_{self.side}"],
            _tube_faces(),
            {"rest": self._tears(self.rest)},
        )
        return [self.globe, self.shell, tears, self._corner_mesh(places[f"conjunctiva_{self.side}"])]

    def places(self, vertices: Float[np.ndarray, "v 3"]) -> dict[str, np.ndarray]:
        """Where its objects are on a posed head."""
        turn, centre = _rigid(self.rest[self.ids], vertices[self.ids])
        before = self.rest[self.ids].mean(0)
        out = {mesh.name: (mesh.vertices - before) @ turn.T + centre for mesh in (self.globe, self.shell)}
        out[f"tears_{self.side}"] = self._tears(vertices)
        out[f"conjunctiva_{self.side}"] = self._corner(vertices)
        return out

    def _corner(self, vertices: np.ndarray) -> np.ndarray:
        """The conjunctiva of the outer corner, where the lids run on beyond the ball: from it to behind their edges."""
        centre = vertices[self.ids].mean(0)
        t = np.linspace(*_CORNER, _CORNER_COLUMNS)
        upper, lower = (_along(vertices[m], t) - centre for m in self.margins)
        # Beyond the edges all round, so that no gap shows from aside.
        aside, out = upper - lower, (upper + lower)[-1] - (upper + lower)[-4]
        aside *= _UNDER_M / np.linalg.norm(aside, axis=1, keepdims=True)
        out = np.linspace(0, 1, _CORNER_COLUMNS)[:, None] ** 4 * _UNDER_M * out / np.linalg.norm(out)
        upper, lower = upper + aside + out, lower - aside + out
        share = np.linspace(0, 1, _CORNER_ROWS)[:, None, None]
        sheet = lower + (upper - lower) * share
        far = np.linalg.norm(upper, axis=1) * share[..., 0] + np.linalg.norm(lower, axis=1) * (1 - share[..., 0])
        sheet *= ((far - np.linspace(*_BEHIND_EDGES_M, _CORNER_COLUMNS)) / np.linalg.norm(sheet, axis=-1))[..., None]
        return (centre + sheet.transpose(1, 0, 2)).reshape(-1, 3)

    def _corner_mesh(self, vertices: np.ndarray) -> Mesh:
        t = np.repeat(np.linspace(0, 1, _CORNER_COLUMNS), _CORNER_ROWS)
        colours = _SCLERA * np.exp(-smoothstep(t, 0.2, 1.0)[:, None] * np.array([0.10, 0.62, 0.60]))
        attributes = {"rest": vertices, "colour": colours, "sclera": np.ones(len(t))}
        faces = sheet_quads(_CORNER_COLUMNS, _CORNER_ROWS)
        return Mesh(f"conjunctiva_{self.side}", Material("eyeball"), vertices, faces, attributes)

    def _tears(self, vertices: np.ndarray) -> np.ndarray:
        """The meniscus: a thin tube where the lower lid meets the eye."""
        centre = vertices[self.ids].mean(0)
        line = _smooth_line(vertices[self.margins[1]], _TUBE)
        out = line - centre
        line = centre + out / np.linalg.norm(out, axis=1, keepdims=True) * (SCLERA_RADIUS_M + 8e-5)
        along = np.gradient(line, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        away = line - centre
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        up = np.cross(away, along)
        thick = 0.00020 * np.sin(np.linspace(0.06, np.pi - 0.06, _TUBE)) ** 0.4
        angle = np.linspace(0, 2 * np.pi, _TUBE_SIDES, endpoint=False)
        ring = np.cos(angle)[None, :, None] * away[:, None] + np.sin(angle)[None, :, None] * up[:, None]
        return (line[:, None] + thick[:, None, None] * ring).reshape(-1, 3)


_TUBE, _TUBE_SIDES = 48, 10

_CORNER = (0.72, 1.0)
"""Where along the lids the sheet of the outer corner begins, inside the ball, and ends."""
_CORNER_COLUMNS, _CORNER_ROWS = 24, 12
_UNDER_M = 0.0008
"""How far it reaches under the lids."""
_BEHIND_EDGES_M = (0.0019, 0.0008)
"""How far behind the lids' outer edges: inside the ball where the sheet begins, close to the skin where it ends."""


def _along(points: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Points at shares of the length of a line."""
    run = np.append(0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1)))
    return np.stack([np.interp(share * run[-1], run, points[:, c]) for c in range(3)], 1)


def _smooth_line(points: np.ndarray, count: int) -> np.ndarray:
    line = _along(points, np.linspace(0.04, 0.96, count))
    for _ in range(6):
        line[1:-1] = 0.5 * line[1:-1] + 0.25 * (line[2:] + line[:-2])
    return line


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    """Quads of a grid whose columns close into rings."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    here, beside = i * columns + j, i * columns + (j + 1) % columns
    return np.stack([here, here + columns, beside + columns, beside], -1).reshape(-1, 4)


def _tube_faces() -> np.ndarray:
    return _grid_faces(_TUBE, _TUBE_SIDES)


def _rigid(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and new centre that take points to others (Kabsch)."""
    centre = b.mean(0)
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - centre))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    return vt.T @ flip @ u.T, centre


def eye_of(anatomy: Anatomy, side: str, colour: IrisColour, redness: float, seed: int) -> Eye:
    """Model an eye of a neutral head.

    Args:
        redness: of the white, 0..1.
    """
    vertices = anatomy.v_template
    ids = anatomy.regions[f"eye_{side}"]
    centre = vertices[ids].mean(0)
    sign = 1.0 if side == "left" else -1.0
    rng = np.random.default_rng([seed, int(sign > 0)])
    points, colours, sclera = _globe(colour, redness, sign, rng, seed)
    rows = len(points) // _AROUND
    globe = Mesh(
        f"eye_{side}",
        Material("eyeball"),
        points + centre,
        _grid_faces(rows, _AROUND),
        {"rest": points, "colour": colours, "sclera": sclera},
    )
    shell_points = _shell()
    shell = Mesh(
        f"cornea_{side}",
        _CORNEA,
        shell_points + centre,
        _grid_faces(len(shell_points) // _AROUND, _AROUND),
        {"rest": shell_points},
    )
    upper, lower = (
        ids[np.argsort(sign * vertices[ids, 0])]
        for ids in (np.unique(anatomy.regions[f"{row}_lid_margin_{side}"]) for row in ("upper", "lower"))
    )
    return Eye(side, globe, shell, ids, (upper, lower), vertices)


def _turned(r: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A profile turned about the optical axis."""
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    flat = r[:, None, None] * ring[None]
    return np.concatenate([flat, np.broadcast_to(z[:, None, None], (len(r), _AROUND, 1))], -1).reshape(-1, 3)


def _shell() -> np.ndarray:
    """Film of tears over the sclera, and the cornea that bulges before the iris."""
    angle = np.linspace(0.002, np.radians(112), 170)
    radius = surface_radius(angle) + _FILM_M
    return _turned(radius * np.sin(angle), radius * np.cos(angle))


def _globe(
    colour: IrisColour, redness: float, sign: float, rng: np.random.Generator, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pupil, iris and sclera: (points around the origin, colours, share of sclera)."""
    limbus = np.radians(LIMBUS_DEG)
    r_iris = np.concatenate(
        [[1e-5], np.linspace(0.3, 1.0, 5) * _PUPIL_M, np.linspace(_PUPIL_M + 5e-5, IRIS_RADIUS_M, 60)]
    )
    inward = np.clip((IRIS_RADIUS_M - r_iris) / (IRIS_RADIUS_M - _PUPIL_M), 0, 1)
    z_iris = IRIS_Z_M + _PUPIL_LIFT_M * inward**2 - 0.0008 * (r_iris <= _PUPIL_M)
    angle = np.linspace(limbus, np.radians(115), 84)
    radius = np.where(angle < limbus + 0.12, SCLERA_RADIUS_M, surface_radius(angle)) - 2e-5
    points = _turned(np.append(r_iris, radius * np.sin(angle)), np.append(z_iris, radius * np.cos(angle)))
    share = np.hypot(points[:, 0], points[:, 1]) / IRIS_RADIUS_M
    share = np.where(points[:, 2] > 0, share, 9.0)
    around = np.arctan2(points[:, 1], points[:, 0])
    iris = _iris(share, around, colour, rng)
    relief = gradient_noise(np.stack([np.cos(around) * 9, np.sin(around) * 9, share * 1.5], 1), 2.2, seed + 4)
    points = points.copy()
    points[:, 2] += np.where((share > 0.4) & (share < 0.92), 1.0e-4 * relief, 0)
    white = _white(points, redness, sign, seed)
    mix = smoothstep(share, 0.92, 1.10)
    out = iris * (1 - mix)[:, None] + white * mix[:, None]
    out[share <= _PUPIL_M / IRIS_RADIUS_M * 1.001] = 0.001
    return points, out, mix


def _white(points: np.ndarray, redness: float, sign: float, seed: int) -> np.ndarray:
    """Sclera: off-white, pinker and veined towards the corners, most at the inner one."""
    stretched = points * np.array([0.45, 1.0, 0.6])
    vein = sum(
        share * np.exp(-((gradient_noise(stretched, f, seed + k) / 0.05) ** 2))
        for k, (f, share) in enumerate(((650, 1.0), (1100, 0.6)))
    )
    aside = np.clip((np.abs(points[:, 0]) - 0.0052) / 0.006, 0, 1)
    inner = aside * (sign * points[:, 0] < 0)
    blood = aside * (0.10 + 0.30 * vein * (0.4 + redness)) + 0.25 * inner**2
    blotch = 0.03 * gradient_noise(points, 260, seed + 9)
    return _SCLERA * (1 + blotch)[:, None] * np.exp(-blood[:, None] * np.array([0.14, 0.80, 0.78]))


def _iris(share: np.ndarray, around: np.ndarray, colour: IrisColour, rng: np.random.Generator) -> np.ndarray:
    """Radial fibres, the collarette around the pupil, crypts, and the dark ring at the limbus."""

    def ring(count: int) -> np.ndarray:
        values = rng.random(count)
        return np.interp(around % (2 * np.pi), np.linspace(0, 2 * np.pi, count + 1), np.append(values, values[0]))

    fibres, collarette, limbus = (np.array(c) for c in (colour.fibres, colour.collarette, colour.limbus))
    wander = 0.05 * (ring(17) - 0.5) + 0.03 * (ring(43) - 0.5)
    thread = 0.45 * ring(230) + 0.35 * ring(110) + 0.20 * ring(48)
    out = fibres * (0.45 + 1.1 * thread)[:, None]
    near = np.exp(-0.5 * ((share - 0.50 - wander) / 0.10) ** 2) * (0.4 + 0.8 * thread)
    out = out * (1 - 0.7 * near)[:, None] + collarette * (0.7 * near)[:, None]
    crypt = np.clip(ring(29) - 0.62, 0, 1) * 2 * np.exp(-0.5 * ((share - 0.66) / 0.09) ** 2)
    out = out * (1 - 0.6 * crypt)[:, None]
    edge = np.clip((share - 0.80 - 0.4 * wander) / 0.17, 0, 1)[:, None] ** 1.6
    return out * (1 - 0.85 * edge) + 0.5 * limbus * 0.85 * edge
