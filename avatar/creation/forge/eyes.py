"""The eyes: iris, sclera and limbus on a sphere, and the light that makes them look wet.

Everything is bound to the eyeball's own triangles and turns with it, except the tear line along the lower lid. The
iris lies on a shallow bowl behind the sphere's surface, so that it shifts against the limbus as a real one does under
its cornea.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar.creation.forge.anatomy import Anatomy
from avatar.creation.forge.cells import Cells, part_cells
from avatar.creation.forge.eyeball import CORNEA_CENTRE_M, CORNEA_RADIUS_M, IRIS_RADIUS_M, IRIS_Z_M, SCLERA_RADIUS_M
from avatar.creation.forge.lighting import MeshOccluder, Studio
from avatar.creation.forge.mesh import catmull_clark, triangulate
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.creation.forge.shading import constant_sh, display, shade_surface
from avatar.creation.forge.splats import Splats, concatenate, frames_from_axes

__all__ = ["IRIS_COLOURS", "IrisColour", "eye_splats"]

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class IrisColour:
    """Linear albedos of an iris.

    Attributes:
        fibres: the body of the iris.
        collarette: the zone around the pupil.
        limbus: the dark ring at the outer edge.
    """

    fibres: RGB
    collarette: RGB
    limbus: RGB


IRIS_COLOURS: dict[str, IrisColour] = {
    "dark brown": IrisColour((0.045, 0.022, 0.011), (0.070, 0.034, 0.015), (0.012, 0.007, 0.005)),
    "brown": IrisColour((0.100, 0.048, 0.020), (0.150, 0.075, 0.028), (0.022, 0.012, 0.007)),
    "amber": IrisColour((0.190, 0.100, 0.032), (0.230, 0.120, 0.035), (0.040, 0.020, 0.008)),
    "hazel": IrisColour((0.110, 0.105, 0.045), (0.190, 0.100, 0.032), (0.024, 0.022, 0.014)),
    "green": IrisColour((0.090, 0.130, 0.075), (0.170, 0.130, 0.050), (0.020, 0.030, 0.024)),
    "blue": IrisColour((0.095, 0.155, 0.240), (0.170, 0.190, 0.200), (0.018, 0.032, 0.060)),
    "grey": IrisColour((0.135, 0.160, 0.180), (0.190, 0.190, 0.170), (0.026, 0.034, 0.042)),
}
"""Eye colours by name."""

_SIDES = {"left": 1.0, "right": -1.0}
_BELOW_MESH_M = 0.00008  # half the thickness of a splat
_MAX_LOWER_M = 0.0011
_PUPIL = 0.36  # of the iris
_CAP_DEG = 100.0  # how far from the optical axis the sclera is drawn
_N_IRIS, _N_SCLERA, _N_TEAR = 1500, 1900, 26
_SCLERA = np.array([0.57, 0.525, 0.49])
_FLESH = np.array([0.50, 0.22, 0.19])
# Reflections in the cornea: offset from the optical axis (towards the subject's left, up), half size (metres), opacity.
_KEY_LIGHT = ((-0.0023, 0.0021), (0.00080, 0.00098), 0.95)
_FILL_LIGHT = ((0.0022, -0.0019), (0.00036, 0.00044), 0.14)


def eye_splats(anatomy: Anatomy, colour: IrisColour, studio: Studio, seed: int = 0) -> Splats:
    """Both eyes of a neutral head.

    Args:
        anatomy: the head.
        colour: of the irises, see `IRIS_COLOURS`.
        studio: the light.
        seed: of the fibres and veins.
    """
    skin_quads = anatomy.quads[anatomy.quad_parts == "skin"]
    refine, quads = catmull_clark(skin_quads, len(anatomy.v_template))
    occluder = MeshOccluder(refine @ anatomy.v_template, triangulate(quads))
    parts = []
    for side, sign in _SIDES.items():
        eye = _Eye(anatomy, side, sign)
        rng = np.random.default_rng([seed, int(sign > 0)])
        parts += [eye.surface(colour, studio, occluder, rng, seed), eye.reflections(), eye.tear_line(studio)]
        parts.append(_flesh(part_cells(anatomy, f"caruncle_{side}", 2), sign, studio, occluder))
    return concatenate(parts)


def _flesh(cells: Cells, sign: float, studio: Studio, occluder: MeshOccluder) -> Splats:
    """The wet flesh in the inner corner, which fades into the white of the eye."""
    x = sign * cells.points[:, 0]
    white = smoothstep((x - x.min()) / np.ptp(x), 0.30, 0.85)[:, None]
    seen = np.clip(
        occluder.visibility(cells.points, cells.normals, studio.directions, size=1100, bias_m=0.0009), 0.25, 1
    )
    albedo = (_FLESH * (1 - white) + 0.9 * _SCLERA * white) * (1 + 0.08 * fbm(cells.points, 900, 5, 2))[:, None]
    sh = shade_surface(studio, albedo, cells.normals, seen, specular=0.8, roughness=0.32, wrap=(0.30, 0.20, 0.18))
    return cells.splats(sh, 0.62)


class _Eye:
    """One eye of a neutral head."""

    def __init__(self, anatomy: Anatomy, side: str, sign: float) -> None:
        self.sign = sign
        v = anatomy.v_template
        vertices = anatomy.regions[f"eye_{side}"]
        self.centre = v[vertices].mean(0)
        self.radius = SCLERA_RADIUS_M - _BELOW_MESH_M
        triangles = triangulate(anatomy.quads)
        self.eyeball = np.flatnonzero(np.isin(triangles, vertices).all(1))
        self.eyeball_centres = v[triangles[self.eyeball]].mean(1)
        self.upper = v[anatomy.regions[f"upper_lid_margin_{side}"]]
        self.lower = v[anatomy.regions[f"lower_lid_margin_{side}"]]
        # A sagging lower lid would bare the white below the iris; the iris of such an eye sits lower.
        bared = -self._below(self.lower, self.centre[None])[0] - 0.93 * IRIS_RADIUS_M
        self.lower_by = float(np.clip(bared, 0.0, _MAX_LOWER_M))
        lid = np.flatnonzero(np.isin(triangles, anatomy.regions[f"lower_lid_{side}"]).all(1))
        self.lid_triangles, self.lid_centres = lid, v[triangles[lid]].mean(1)

    def surface(
        self, colour: IrisColour, studio: Studio, occluder: MeshOccluder, rng: np.random.Generator, seed: int
    ) -> Splats:
        """Iris, limbus and sclera."""
        theta, phi, sizes = _spread()
        rim = np.arcsin(IRIS_RADIUS_M / self.radius)
        theta = np.where(sizes > 0, theta * rim, theta)  # the iris is given in units of its own radius
        local = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], 1)
        c, s = np.sqrt(1 - (self.lower_by / self.radius) ** 2), self.lower_by / self.radius
        tilt = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
        normals = local @ tilt.T
        points = self.centre + self.radius * normals
        r = np.sin(theta) / np.sin(rim)  # 1 at the limbus

        # The iris proper lies on a plane behind the cornea.
        depth = np.where(r < 1, self.radius * np.cos(theta) - IRIS_Z_M, 0.0)
        depth *= 1 - smoothstep(r, 0.90, 1.0)
        points -= depth[:, None] * tilt[:, 2]

        iris = _iris_albedo(r, phi, colour, rng)
        white = self._sclera_albedo(points, normals, seed)
        mix = smoothstep(r, 0.93, 1.09)[:, None]
        albedo = iris * (1 - mix) + white * mix
        # Light enters through the cornea and falls on the far side of the iris.
        bowl = local * np.where(r < 1, -1.0, 1.0)[:, None] * np.array([1.0, 1.0, 0.0]) + np.array([0.0, 0.0, 1.0])
        bowl = bowl @ tilt.T / np.linalg.norm(bowl, axis=1, keepdims=True)
        shading_normal = bowl * (1 - mix) + normals * mix
        shading_normal /= np.linalg.norm(shading_normal, axis=1, keepdims=True)

        lifted = self.centre + self.radius * 1.01 * normals
        seen = occluder.visibility(lifted, normals, studio.directions, size=1100, bias_m=0.0009)
        covered = smoothstep(self._under_lids(points), -0.0011, 0.0003)[:, None]
        typical = np.average(seen, axis=0, weights=1.001 - covered[:, 0]) * 0.8
        seen = seen * (1 - covered) + typical * covered  # what a wide eye or a glance uncovers must not be black
        visibility = np.clip((seen + 0.06) * self._lid_shade(points)[:, None], 0, 1)
        wet = 0.9 * mix[:, 0]
        sh = shade_surface(
            studio, albedo, shading_normal, visibility, specular=wet, roughness=0.34, wrap=(0.30, 0.22, 0.20)
        )
        sigma = np.where(sizes > 0, sizes * rim * self.radius, -sizes * self.radius)
        tangent = np.cross(np.broadcast_to([0.0, 1.0, 0.02], normals.shape), normals)
        return Splats(
            points,
            frames_from_axes(tangent, normals),
            np.stack([sigma, sigma, 0.25 * sigma], 1),
            np.full(len(points), 0.97),
            sh,
            self._nearest_eyeball(points),
        )

    def reflections(self) -> Splats:
        """The key light as a soft window and the fill as a faint glow, in front of iris and pupil."""
        parts = []
        for (x, y), (half_x, half_y), opacity in (_KEY_LIGHT, _FILL_LIGHT):
            lid = float(self._below(self.upper, self.centre[None] + [[x, 0.0, 0.0]])[0])
            y = min(y - self.lower_by, lid - 1.25 * half_y)  # a low lid must not hide the light that makes the eye live
            gx, gy = (g.ravel() for g in np.meshgrid([-0.55, 0.0, 0.55], [-0.6, 0.0, 0.6]))
            offset = np.stack([x + gx * half_x, y + gy * half_y], 1)
            z = np.sqrt(CORNEA_RADIUS_M**2 - (offset**2).sum(1))
            normals = np.column_stack([offset, z]) / CORNEA_RADIUS_M
            points = self.centre + np.column_stack([offset, CORNEA_CENTRE_M + z])
            n = len(points)
            parts.append(
                Splats(
                    points,
                    frames_from_axes(np.cross(np.broadcast_to([0.0, 1.0, 0.0], normals.shape), normals), normals),
                    np.tile([0.42 * half_x, 0.42 * half_y, 0.00006], (n, 1)),
                    np.full(n, 1 - (1 - opacity) ** (1 / 2.6)),
                    constant_sh(np.tile(display(np.array([[1.25, 1.22, 1.18]])), (n, 1))),
                    self._nearest_eyeball(points),
                )
            )
        return concatenate(parts)

    def tear_line(self, studio: Studio) -> Splats:
        """The film of tears along the lower lid: a thin bright line, carried by the lid."""
        x = np.linspace(self.lower[:, 0].min(), self.lower[:, 0].max(), _N_TEAR + 2)[1:-1]
        order = np.argsort(self.lower[:, 0])
        y = np.interp(x, self.lower[order, 0], self.lower[order, 1]) - 0.00005
        dx, dy = x - self.centre[0], y - self.centre[1]
        z = self.centre[2] + np.sqrt(np.maximum((self.radius + 0.0006) ** 2 - dx**2 - dy**2, 0.004**2))
        points = np.stack([x, y, z], 1)
        along = np.gradient(points, axis=0)
        normals = np.stack([dx, dy + 0.006, z - self.centre[2]], 1)
        step = np.linalg.norm(along, axis=1)
        bright = np.exp(-0.5 * ((x - self.centre[0] + 0.002) / 0.006) ** 2)
        colour = display(np.array([[0.62, 0.52, 0.50]]) * (0.45 + 0.75 * bright[:, None]))
        nearest = ((points[:, None] - self.lid_centres[None]) ** 2).sum(2).argmin(1)
        n = len(points)
        return Splats(
            points,
            frames_from_axes(along, normals),
            np.stack([0.62 * step, np.full(n, 0.00016), np.full(n, 0.0001)], 1),
            np.full(n, 0.34),
            constant_sh(colour),
            self.lid_triangles[nearest],
        )

    def _nearest_eyeball(self, points: np.ndarray) -> np.ndarray:
        return self.eyeball[((points[:, None] - self.eyeball_centres[None]) ** 2).sum(2).argmin(1)]

    def _below(self, lid: np.ndarray, points: np.ndarray) -> np.ndarray:
        """How far points lie below the margin of a lid, metres."""
        order = np.argsort(lid[:, 0])
        return np.interp(points[:, 0], lid[order, 0], lid[order, 1]) - points[:, 1]

    def _under_lids(self, points: np.ndarray) -> np.ndarray:
        """How far points lie behind the lids, metres; negative between them."""
        x = points[:, 0]
        beside = np.maximum(x - self.upper[:, 0].max(), self.upper[:, 0].min() - x)
        return np.maximum.reduce([-self._below(self.upper, points), self._below(self.lower, points), beside])

    def _lid_shade(self, points: np.ndarray) -> np.ndarray:
        """What lids and lashes take from the light, by the distance to their margins, 0..1."""
        from_upper = np.clip(self._below(self.upper, points), 0, None)
        from_lower = np.clip(-self._below(self.lower, points), 0, None)
        return (1 - 0.46 * np.exp(-from_upper / 0.0017)) * (1 - 0.30 * np.exp(-from_lower / 0.0008))

    def _sclera_albedo(self, points: np.ndarray, normals: np.ndarray, seed: int) -> np.ndarray:
        mottled = 1 - 0.05 * np.abs(fbm(points, 420, seed + 3, 3))
        albedo = _SCLERA * mottled[:, None]
        side = np.abs(normals[:, 0])
        stretched = points * np.array([0.35, 1.0, 0.6])
        vein = np.exp(-((gradient_noise(stretched, 520, seed + 5) / 0.045) ** 2))
        vein += 0.7 * np.exp(-((gradient_noise(stretched, 900, seed + 6) / 0.05) ** 2))
        redness = smoothstep(side, 0.42, 0.85)
        albedo = albedo * np.exp(-(redness * (0.12 + 0.28 * vein))[:, None] * np.array([0.15, 0.9, 0.95]))
        inner = self.centre[0] + self.sign * -0.0100
        flesh = 0.6 * smoothstep(-self.sign * (points[:, 0] - inner), -0.0022, 0.0012)[:, None]
        return albedo * (1 - flesh) + _FLESH * flesh


def _spread() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spiral samples of iris and sclera: (angle from the axis, azimuth, standard deviation).

    The iris comes in units of its radius with positive deviations, the sclera in radians with negative ones.
    """
    golden = np.pi * (1 + 5**0.5)
    i = np.arange(_N_IRIS) + 0.5
    r = 1.06 * np.sqrt(i / _N_IRIS)
    iris = r, golden * i, np.full(_N_IRIS, 0.60 * 1.06 * np.sqrt(np.pi / _N_IRIS))
    inner, outer = np.radians(23.0), np.radians(_CAP_DEG)
    j = np.arange(_N_SCLERA) + 0.5
    cos = np.cos(inner) - (np.cos(inner) - np.cos(outer)) * j / _N_SCLERA
    area = 2 * np.pi * (np.cos(inner) - np.cos(outer)) / _N_SCLERA
    sclera = np.arccos(cos), golden * j, np.full(_N_SCLERA, -0.70 * np.sqrt(area))
    theta, phi, size = (np.concatenate(pair) for pair in zip(iris, sclera, strict=True))
    return theta, phi % (2 * np.pi), size


def _iris_albedo(
    r: Float[np.ndarray, " n"], phi: Float[np.ndarray, " n"], colour: IrisColour, rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Fibres, collarette, limbal ring and pupil at radius `r` (1 at the limbus) and azimuth `phi`."""

    def ring(count: int) -> np.ndarray:
        values = rng.random(count)
        return np.interp(phi, np.linspace(0, 2 * np.pi, count + 1), np.append(values, values[0]))

    wobble = 0.03 * (ring(24) - 0.5) + 0.02 * (ring(60) - 0.5)
    fibre = 0.62 * ring(190) + 0.38 * ring(75)
    outer = smoothstep(r, 0.50, 0.72)
    crypts = ring(34) ** 2 * np.exp(-0.5 * ((r - 0.62) / 0.10) ** 2)
    strength = 0.62 + 0.76 * fibre * (0.55 + 0.45 * outer) - 0.30 * crypts
    strength *= 1.12 - 0.22 * smoothstep(r, 0.6, 0.95)
    albedo = np.array(colour.fibres) * strength[:, None]
    collar = np.exp(-0.5 * ((r - 0.47 - wobble) / 0.085) ** 2) * (0.5 + 0.7 * fibre)
    albedo = albedo * (1 - 0.75 * collar[:, None]) + np.array(colour.collarette) * 0.75 * collar[:, None]
    limbus = smoothstep(r + wobble, 0.76, 0.97)[:, None] * 0.88
    albedo = albedo * (1 - limbus) + np.array(colour.limbus) * limbus
    ruff = np.exp(-0.5 * ((r - _PUPIL - 0.015) / 0.02) ** 2)[:, None] * 0.5
    albedo = albedo * (1 - ruff) + np.array(colour.limbus) * ruff
    pupil = (1 - smoothstep(r + 0.4 * wobble, _PUPIL - 0.03, _PUPIL + 0.035))[:, None]
    return np.clip(albedo * (1 - pupil) + 0.0025 * pupil, 0.001, 1.0)
