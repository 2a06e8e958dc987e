"""The shape of teeth and gums: crowns set along a dental arch, as meshes and as points for splats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.mesh import sheet_quads
from avatar.creation.forge.noise import smoothstep

__all__ = ["Arch", "GumSurface", "ToothMesh", "ToothSurface"]

# One half of each arch, from the midline: width, height of the crown, distance of the edge from the occlusal line,
# thickness; millimetres. Reference: Wheeler's Dental Anatomy, table 1-4, rounded.
_UPPER = (
    (8.5, 10.4, 0.0, 2.2),
    (6.6, 9.0, 0.7, 2.1),
    (7.6, 10.0, 0.1, 3.0),
    (7.0, 8.4, 0.6, 6.5),
    (6.8, 7.6, 0.9, 6.5),
    (10.0, 7.0, 1.2, 8.5),
    (9.4, 6.6, 1.5, 8.3),
)
_LOWER = (
    (5.2, 8.6, 0.0, 2.0),
    (5.8, 8.9, 0.1, 2.1),
    (6.8, 10.0, -0.2, 2.8),
    (7.0, 8.2, 0.4, 5.5),
    (7.1, 7.8, 0.7, 6.0),
    (10.8, 7.2, 0.9, 8.0),
    (10.2, 6.8, 1.1, 7.8),
)
_N_INCISORS = 3  # with the canine: teeth with a cutting edge, not a chewing surface
_FRONT_GRID, _SIDE_GRID, _EDGE_GRID, _LINGUAL_GRID = (7, 8), (5, 5), (6, 2), (4, 3)
_GUM_COLUMNS, _GUM_ROWS, _GUM_STEP_M = 6, 4, 0.0014
# The meshes: heights of the rings around a crown, from under the gum to the edge, and where its columns are.
_CROWN_ROWS, _CROWN_COLUMNS = (1.20, 0.88, 0.52, 0.20, 0.035), (-1.06, -0.50, 0.50, 1.06)
# Rows of the gum, from the side of the lips over its margin to that of the tongue: depth behind the margin's line,
# distance beyond the necks of the teeth.
_GUM_PROFILE_M = ((-0.0012, 0.0085), (0.0006, 0.0046), (0.0009, 0.0012), (-0.0004, -0.0009))


@dataclass(frozen=True)
class ToothSurface:
    """Points on crowns.

    Attributes:
        points, normals, tangents: metres; tangents run along the arch.
        size: standard deviations of a splat along the tangent and across it.
        across: -1..1 over the width of the tooth.
        height: 0 at the edge .. 1 at the gum.
        incisor: 1 on teeth with a cutting edge.
        lingual: on the side of the tongue.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    tangents: Float[np.ndarray, "n 3"]
    size: Float[np.ndarray, "n 2"]
    across: Float[np.ndarray, " n"]
    height: Float[np.ndarray, " n"]
    incisor: Float[np.ndarray, " n"]
    lingual: np.ndarray


@dataclass(frozen=True)
class GumSurface:
    """Points on the gum in front of the roots."""

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    tangents: Float[np.ndarray, "n 3"]
    size: Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class ToothMesh:
    """Crowns or gums as quads that face outwards; the same topology in every mouth."""

    vertices: Float[np.ndarray, "v 3"]
    quads: Int[np.ndarray, "q 4"]


@dataclass(frozen=True)
class _Tooth:
    middle_m: float  # arc length of its centre from the midline, signed
    width_m: float
    height_m: float
    edge_m: float
    depth_m: float
    incisor: bool


@dataclass(frozen=True)
class Arch:
    """A dental arch: half an ellipse seen from above, teeth pointing down (upper) or up (lower).

    Attributes:
        front_z: front of the central incisors, metres.
        edge_y: height of their edges.
        half_width, length: semi-axes of the ellipse.
        upward: direction from edge to gum: +1 for the upper arch, -1 for the lower.
    """

    front_z: float
    edge_y: float
    half_width: float
    length: float
    upward: float

    def crowns(self) -> ToothSurface:
        """All teeth: front, cutting edge or chewing surface, and the side of the tongue."""
        rows = [self._crown(tooth) for tooth in self._teeth()]
        return ToothSurface(*(np.concatenate(column) for column in zip(*rows, strict=True)))

    def crown_mesh(self) -> ToothMesh:
        """Fourteen crowns, each closed at its edge and open in the gum."""
        u = np.array(_CROWN_COLUMNS)
        n, rows = 2 * len(u), len(_CROWN_ROWS)
        row, column = (g.ravel() for g in np.mgrid[: rows - 1, :n])
        following = row * n + (column + 1) % n
        around = np.stack([row * n + column, following, following + n, row * n + n + column], 1)
        last = (rows - 1) * n
        cap = np.array([[k, k + 1, n - 2 - k, n - 1 - k] for k in range(len(u) - 1)]) + last
        quads = np.concatenate([around, cap])
        if self.upward > 0:
            quads = quads[:, ::-1]
        points, faces = [], []
        for index, tooth in enumerate(self._teeth()):
            for v in _CROWN_ROWS:
                height = np.full(len(u), v)
                points.append(self._side_points(tooth, u, height, False)[0])
                points.append(self._side_points(tooth, u[::-1], height, True)[0])
            faces.append(quads + index * n * rows)
        return ToothMesh(np.concatenate(points), np.concatenate(faces))

    def gum_mesh(self) -> ToothMesh:
        """A scalloped band in front of the roots and behind them, from the last tooth of one side to the other's."""
        teeth = sorted(self._teeth(), key=lambda tooth: tooth.middle_m)
        s = np.concatenate([[t.middle_m - t.width_m / 2, t.middle_m] for t in teeth] + [[-teeth[0].middle_m]])
        s[-1] = -s[0]
        neck = np.array([t.edge_m + t.height_m for t in teeth])
        between = np.concatenate([neck[:1], np.minimum(neck[1:], neck[:-1]), neck[-1:]])
        rise = np.empty(len(s))
        rise[1::2], rise[0::2] = neck, between - 0.0021  # the papillae reach down between the teeth
        scallop = np.concatenate([np.stack([between[:-1], neck], 1).ravel(), between[-1:]]) - rise
        depth = np.interp(s, [t.middle_m for t in teeth], [t.depth_m for t in teeth])
        centre, _, outward = self._frame(s)
        rows = []
        for lingual in (False, True):
            for k, (out, beyond) in enumerate(_GUM_PROFILE_M):
                y = rise + beyond + scallop * np.clip(beyond / 0.0046, 0, 1)
                back = depth * 0.92 * lingual
                p = centre + outward * (self._lean(y) + (out - back if not lingual else -out - back))[:, None]
                p[:, 1] = self.edge_y + self.upward * y
                rows.append((k if not lingual else 2 * len(_GUM_PROFILE_M) - 1 - k, p))
        points = np.stack([p for _, p in sorted(rows, key=lambda pair: pair[0])])
        quads = sheet_quads(len(points), len(s))
        if self.upward < 0:
            quads = quads[:, ::-1]
        return ToothMesh(points.reshape(-1, 3), quads)

    def gums(self) -> GumSurface:
        """A scalloped band above the necks of the teeth (below them in the lower arch)."""
        points, normals, tangents, sizes = [], [], [], []
        for tooth in self._teeth():
            u = (np.arange(_GUM_COLUMNS) + 0.5) / _GUM_COLUMNS * 2 - 1
            s = tooth.middle_m + u * tooth.width_m / 2
            centre, tangent, outward = self._frame(s)
            for row in range(_GUM_ROWS):
                t = row / (_GUM_ROWS - 1)
                scallop = 0.0016 * u**2 * (1 - 0.75 * t)  # papillae reach down between the teeth
                rise = tooth.edge_m + tooth.height_m - 0.0007 - scallop + row * _GUM_STEP_M
                bulge = 0.0004 + 0.0006 * np.sin(np.pi * min(t * 1.4, 1.0)) - 0.0012 * t**2
                root = 0.00045 * (1 - u**2)
                lean = self._lean(rise)
                p = centre + outward * (bulge + root - 0.0006 + lean)[:, None]
                p[:, 1] = self.edge_y + self.upward * rise
                n = outward + np.array([0, self.upward * (0.9 * t - 0.45), 0])
                points.append(p)
                normals.append(n / np.linalg.norm(n, axis=1, keepdims=True))
                tangents.append(tangent)
                step = tooth.width_m / _GUM_COLUMNS
                sizes.append(np.tile([0.62 * step, 0.62 * _GUM_STEP_M], (len(u), 1)))
        return GumSurface(*(np.concatenate(c) for c in (points, normals, tangents, sizes)))

    def _teeth(self) -> list[_Tooth]:
        out = []
        for sign in (1.0, -1.0):
            position = 0.0
            for index, row in enumerate(_UPPER if self.upward > 0 else _LOWER):
                width, height, edge, depth = (x / 1000 for x in row)
                out.append(
                    _Tooth(sign * (position + width / 2), width, height - edge, edge, depth, index < _N_INCISORS)
                )
                position += width
        return out

    def _frame(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points on the arch at arc lengths from the midline: (point in the plane y = 0, tangent, outward)."""
        angle = np.linspace(0, np.pi / 2, 400)
        x, z = self.half_width * np.sin(angle), self.front_z - self.length * (1 - np.cos(angle))
        arc = np.append(0, np.cumsum(np.hypot(np.diff(x), np.diff(z))))
        a = np.interp(np.abs(s), arc, angle)
        sign = np.where(s < 0, -1.0, 1.0)
        zero = np.zeros_like(s)
        centre = np.stack([sign * self.half_width * np.sin(a), zero, self.front_z - self.length * (1 - np.cos(a))], 1)
        tangent = np.stack([self.half_width * np.cos(a), zero, -sign * self.length * np.sin(a)], 1)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        outward = np.stack([-tangent[:, 2], zero, tangent[:, 0]], 1)
        return centre, tangent, outward

    def _lean(self, rise: np.ndarray | float) -> np.ndarray | float:
        """How far the front face stands back from the edge at a height above it: incisors lean forward."""
        return -0.10 * np.asarray(rise) - 14.0 * np.asarray(rise) ** 2

    def _crown(self, tooth: _Tooth) -> tuple[np.ndarray, ...]:
        pieces = [self._side(tooth, False), self._edge(tooth), self._side(tooth, True)]
        return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))

    def _outline(self, tooth: _Tooth, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the front face: (distance from the tooth's centre along the arch, height above the edge)."""
        narrow = 0.965 - (0.20 if tooth.incisor else 0.12) * smoothstep(v, 0.25, 1.0)
        rounded = np.abs(u) ** 3.5 * (0.0008 if tooth.incisor else 0.0012) * (1 - smoothstep(v, 0.0, 0.35))
        return u * narrow * tooth.width_m / 2, tooth.edge_m + rounded + v * tooth.height_m

    def _side(self, tooth: _Tooth, lingual: bool) -> tuple[np.ndarray, ...]:
        columns, rows = _LINGUAL_GRID if lingual else _FRONT_GRID if tooth.incisor else _SIDE_GRID
        u, v = (
            g.ravel() for g in np.meshgrid((np.arange(columns) + 0.5) / columns * 2 - 1, (np.arange(rows) + 0.5) / rows)
        )
        p, tangent, outward = self._side_points(tooth, u, v, lingual)
        slope_u = -0.62 * np.sign(u) * np.abs(u) ** 1.6 - 0.35 * u**5
        slope_v = 0.38 * np.cos(np.pi * v)
        n = (-outward if lingual else outward) - tangent * slope_u[:, None]
        n[:, 1] -= self.upward * slope_v
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        size = np.tile([0.66 * tooth.width_m / columns, 0.66 * tooth.height_m / rows], (len(u), 1))
        kind = np.full(len(u), float(tooth.incisor))
        return p, n, tangent, size, u, v, kind, np.full(len(u), lingual)

    def _side_points(
        self, tooth: _Tooth, u: np.ndarray, v: np.ndarray, lingual: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """On the side of the lips or that of the tongue: (points, tangents, outward directions of the arch)."""
        along, rise = self._outline(tooth, u, v)
        centre, tangent, outward = self._frame(np.full(len(u), tooth.middle_m))
        bulge = 0.0010 * (1 - np.abs(u) ** 2.4) + 0.0006 * np.sin(np.pi * np.clip(v, 0, 1)) - 0.0011 * u**6
        if lingual:
            thick = tooth.depth_m * (0.35 + 0.65 * smoothstep(v, 0.0, 0.8) if tooth.incisor else 1.0)
            offset = self._lean(rise) - thick * np.sqrt(np.clip(1 - 0.55 * u**2, 0, 1))
        else:
            offset = self._lean(rise) + bulge
        p = centre + tangent * along[:, None] + outward * np.asarray(offset)[:, None]
        p[:, 1] = self.edge_y + self.upward * rise
        return p, tangent, outward

    def _edge(self, tooth: _Tooth) -> tuple[np.ndarray, ...]:
        """The cutting edge, or the chewing surface with its cusps."""
        columns, rows = _EDGE_GRID
        if not tooth.incisor:
            rows = 2 * rows
        u, w = (
            g.ravel() for g in np.meshgrid((np.arange(columns) + 0.5) / columns * 2 - 1, (np.arange(rows) + 0.5) / rows)
        )
        along, rise = self._outline(tooth, u, np.zeros_like(u))
        depth = tooth.depth_m * (0.42 if tooth.incisor else 1.0)
        centre, tangent, outward = self._frame(np.full(len(u), tooth.middle_m))
        if not tooth.incisor:
            rise = rise + 0.0011 * np.sin(np.pi * w) * (1 - 0.3 * np.abs(u))  # the groove between the cusps
        p = centre + tangent * along[:, None] + outward * (0.0008 * (1 - np.abs(u) ** 2.4) - w * depth)[:, None]
        p[:, 1] = self.edge_y + self.upward * (rise + 0.0001)
        n = outward * (0.5 - w)[:, None] * (1.2 if tooth.incisor else 0.8)
        n[:, 1] -= self.upward
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        size = np.tile([0.60 * tooth.width_m / columns, 0.62 * depth / rows], (len(u), 1))
        kind = np.full(len(u), float(tooth.incisor))
        return p, n, tangent, size, u, np.zeros(len(u)), kind, np.full(len(u), False)
