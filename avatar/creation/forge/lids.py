"""The lids: shaped around the ball at rest, and sliding over it when they move.

A lid has a margin as thick as a real one, whose inner edge touches the ball. Above the upper margin lies the tarsal
plate, then the fold where a raised lid is tucked in. Every motion of the lids is a motion of their margins over the
ball, which the skin beside them takes part in the less the farther it is away.

The left eye's lids are worked out, those of the right one are their mirror image. Metres, head's frame; arrays in the
head's numbering.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from avatar.creation.forge.eyeball import CORNEA_CENTRE_M, CORNEA_RADIUS_M, SCLERA_RADIUS_M, flesh
from avatar.creation.forge.face_form import EyeForm
from avatar.creation.forge.noise import smoothstep
from avatar.creation.forge.regions import Landmarks

__all__ = ["Lids"]

_ZONE_M = 0.030  # the skin that takes part, by its distance from the centre of the ball
_MARGIN_M, _SHUT_MARGIN_M = 0.0016, 0.0020  # thickness of a lid at its margin: open, shut
_SHELF_M = (0.0004, 0.0008)  # how much of the margin is seen from the front, upper and lower
_CONTACT_M = 0.00018  # from the ball to the inner edge of a margin
_THICKENING = 0.05  # how much a lid gains on its way from the margin to the fold
_REACH_M = {"upper": 0.0150, "lower": 0.0135}  # how far from the margin the skin follows it
_SHUT_RISE_M = 0.0011  # of the lower lid on a blink
_SHUT_OVERLAP_M = 0.0010
_OUTER_Z_M, _INNER_Z_M = 0.0030, 0.0082  # depth of the corners in front of the centre of the ball


class Lids:
    """The lids of one head at rest.

    Attributes:
        vertices: the head with its lids around the balls.
    """

    def __init__(
        self,
        vertices: Float[np.ndarray, "v 3"],
        centre: Float[np.ndarray, " 3"],
        marks: Landmarks,
        quads: Int[np.ndarray, "q 4"],
        form: EyeForm,
    ) -> None:
        """
        Args:
            vertices: a symmetric head whose lids lie anyhow.
            centre: of the left ball.
            marks: landmarks in the head's numbering.
            quads: of the skin with the sockets.
            form: what to make of the lids.
        """
        self.centre, self.marks, self.form = centre, marks, form
        self._size = len(vertices)
        skin = np.unique(quads)
        near = skin[(np.linalg.norm(vertices[skin] - centre, axis=1) < _ZONE_M) & (vertices[skin, 0] > 1e-5)]
        self.zone = near
        self._laplacian = _laplacian(quads, near, len(vertices))
        self.upper, self.lower = marks.eye.halves(vertices, marks.eye.margin)
        ring = marks.eye.rings[marks.eye.margin]
        self._margin_order = np.argsort(ring)
        self._sorted_margin = ring[self._margin_order]
        p = vertices[near] - centre
        p = self._open(p, vertices)
        p = self._wrap(p)
        self.points = p
        self._measure(p)
        self.points = p = self._plates(p)
        self._measure(p)
        self.vertices = self._both(vertices, centre + p)

    # --- at rest ------------------------------------------------------------------------------------------------------

    def _row(self, row: int) -> np.ndarray:
        """Places in the zone of a ring of vertices."""
        return np.searchsorted(self.zone, self.marks.eye.rings[row])

    def _place(self, members: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.zone, members)

    def _behind(self) -> np.ndarray:
        """Places in the zone of the vertices behind the inner edge of the margin."""
        return np.flatnonzero(np.isin(self.zone, self.marks.sockets))

    def _open(self, p: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        """Move the margin to the wanted outline, seen from the front."""
        form = self.form
        inner, outer = p[self._place(self.upper[[0, -1]])]
        handles, shifts = [], []
        rows = range(self.marks.eye.margin, len(self.marks.eye.rings))
        for row in rows:
            for half, sign in zip(self.marks.eye.halves(vertices, row), (1.0, -1.0), strict=True):
                q = p[self._place(half)]
                t = np.clip((q[:, 0] - inner[0]) / (outer[0] - inner[0]), 0, 1)
                bump = 0.5 * sign * form.open_mm * (4 * t * (1 - t)) ** 0.8 * (1.3 if sign > 0 else 0.7)
                skew = 0.9 * form.peak * np.sin(2 * np.pi * t) * -0.5 * (sign > 0)
                shift = np.zeros_like(q)
                shift[:, 1] = 1e-3 * (bump + skew + form.tilt_mm * t)
                shift[:, 0] = 1e-3 * form.longer_mm * smoothstep(t, 0.2, 1.0)
                handles.append(self._place(half))
                shifts.append(shift)
        return p + self._spread(np.concatenate(handles), np.concatenate(shifts))

    def _wrap(self, p: np.ndarray) -> np.ndarray:
        """Lay the margin around the ball: its outer edge as thick as a lid in front, its inner edge on the ball."""
        margin, back = self._row(self.marks.eye.margin), self._row(self.marks.eye.margin + 1)
        shifts = np.zeros_like(p)
        shifts[margin, 2] = self._depth(p[margin], _MARGIN_M) - p[margin, 2]
        moved = p + self._spread(margin, shifts[margin])
        # The margin is a shelf that faces the opening a little: its inner edge bounds what is seen of the ball.
        inner = moved[margin].copy()
        for half, shelf_m in ((self.upper, -_SHELF_M[0]), (self.lower, _SHELF_M[1])):
            q = moved[self._place(half)]
            t = np.clip((q[:, 0] - q[0, 0]) / (q[-1, 0] - q[0, 0]), 0, 1)
            column = np.searchsorted(self._sorted_margin, half)
            inner[self._margin_order[column], 1] += shelf_m * np.clip(6 * t * (1 - t), 0, 1)
        moved[back] = inner
        moved[back, 2] = self._depth(inner, _CONTACT_M)
        behind = np.setdiff1d(self._behind(), back)
        last = self._row(self.marks.eye.margin + 2)
        outwards = p[margin] - p[margin].mean(0)
        outwards[:, 2] = 0
        outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
        moved[last] = moved[back] + 0.0016 * outwards
        moved[last, 2] = self._depth(moved[last], 0.0004)
        deeper = np.setdiff1d(behind, last)
        moved[deeper, :2] = p[deeper, :2]
        moved[deeper, 2] = np.minimum(self._depth(moved[deeper], 0.0008), moved[deeper, 2])
        return moved

    def _depth(self, p: np.ndarray, above_m: float | np.ndarray) -> np.ndarray:
        """How far in front of the centre a lid is that lies `above_m` over the ball; beside the ball, near a corner."""
        above = np.asarray(above_m)
        rho2 = p[:, 0] ** 2 + p[:, 1] ** 2
        radius = SCLERA_RADIUS_M + above
        on_cornea = CORNEA_CENTRE_M + np.sqrt(np.maximum((CORNEA_RADIUS_M + above) ** 2 - rho2, 0))
        on_ball = np.maximum(np.sqrt(np.maximum(radius**2 - rho2, 0)), np.where(rho2 < 0.0064**2, on_cornea, 0))
        x = p[:, 0]
        # Beyond the ball the lids run on to the corners: the outer one at its side, the inner one before the tears.
        run = np.clip((-x - 0.0085) / 0.0060, 0, 1.2)
        inner = np.sqrt(np.maximum(radius**2 - 0.0085**2 - p[:, 1] ** 2, 0)) * (1 - run) + _INNER_Z_M * run
        out = np.where(x < -0.0085, inner, on_ball)
        floor = _OUTER_Z_M + above - _MARGIN_M
        return np.where(x > 0, np.hypot(np.maximum(out - floor, 0), 0.0006) + floor, out)

    def _measure(self, p: np.ndarray) -> None:
        """Where each vertex of the zone is relative to the margins: `along` 0 inner .. 1 outer corner, `away` metres
        from the nearer margin, `is_upper`."""
        fine = np.linspace(0, 1, 160)
        curves, params = [], []
        for half in (self.upper, self.lower):
            q = p[self._place(half)]
            run = np.append(0, np.cumsum(np.linalg.norm(np.diff(q, axis=0), axis=1)))
            run /= run[-1]
            curves.append(np.stack([np.interp(fine, run, q[:, k]) for k in range(3)], 1))
            params.append(np.clip((curves[-1][:, 0] - q[0, 0]) / (q[-1, 0] - q[0, 0]), 0, 1))
        distance, index = cKDTree(np.concatenate(curves)).query(p)
        self.along = np.concatenate(params)[index % (2 * len(fine))]
        self.away = distance
        above = index < len(fine)
        middle_y = np.interp(p[:, 0], curves[0][:, 0], (curves[0][:, 1] + np.interp(curves[0][:, 0], curves[1][:, 0],
                                                                                 curves[1][:, 1])) / 2)  # fmt: skip
        corner = (self.along < 0.02) | (self.along > 0.98)
        self.is_upper = np.where(corner, p[:, 1] > middle_y, above)
        behind = self._behind()
        self.away[behind] = 0.0
        self.curves = curves

    def _plates(self, p: np.ndarray) -> np.ndarray:
        """Lids that follow the ball, with their fold, and the fullness under the eye."""
        form = self.form
        out = p.copy()
        front = ~np.isin(np.arange(len(p)), self._behind())
        margin = self._row(self.marks.eye.margin)
        front[margin] = False
        inside = smoothstep(self.along, 0.02, 0.16) * (1 - smoothstep(self.along, 0.88, 1.0))
        on_lid = self._depth(p, _MARGIN_M + _THICKENING * self.away)

        crease = 1e-3 * (form.crease_mm - form.hood_mm * smoothstep(self.along, 0.35, 0.85)) * (0.55 + 0.45 * inside)
        crease = np.maximum(crease, 0.0009)
        has_fold = float(smoothstep(np.array([form.crease_mm]), 0.0, 1.0)[0])
        up = self.is_upper & front
        share = 1 - smoothstep(self.away, 0.85 * crease, crease + 0.0055)
        z = p[:, 2] * (1 - share) + np.minimum(on_lid, p[:, 2] + 0.002) * share
        tuck = np.exp(-0.5 * ((self.away - crease) / 0.00075) ** 2)
        roll = np.exp(-0.5 * ((self.away - crease - 0.0026) / 0.0016) ** 2)
        z += has_fold * inside * (-0.0009 * (0.4 + 0.6 * form.fold) * tuck + 0.0011 * form.fold * roll)
        out[up, 2] = z[up]
        out[up, 1] -= (has_fold * form.fold * 0.0010 * inside * roll)[up]  # the roll of skin hangs a little

        down = ~self.is_upper & front
        share = 1 - smoothstep(self.away, 0.0015, 0.0065)
        z = p[:, 2] * (1 - share) + on_lid * share
        z += 0.00045 * inside * np.exp(-0.5 * ((self.away - 0.0026) / 0.0013) ** 2)  # the muscle along the margin
        z += 0.0016 * form.bag * inside * np.exp(-0.5 * ((self.away - 0.0078) / 0.0030) ** 2)
        out[down, 2] = z[down]
        return out

    def flesh(self) -> Float[np.ndarray, "f 3"]:
        """The vertices of `eyeball.flesh` in the left eye: a sheet from the inner corner to the ball, raised at the
        caruncle."""
        mesh = flesh()
        u, v = mesh.uv.T
        t = -0.01 + 0.22 * u
        upper, lower = (
            np.stack([np.interp(t, c[:, 0], c[:, k]) for k in (1, 2)], 1)
            for c in (
                np.column_stack([(q[:, 0] - q[0, 0]) / (q[-1, 0] - q[0, 0]), q[:, 1:]])
                for q in (self.points[self._place(half)] for half in (self._inner_edge(0), self._inner_edge(1)))
            )
        )
        corner = self.points[self._place(self.upper)]
        x = corner[0, 0] + t * (corner[-1, 0] - corner[0, 0])
        edge = lower + (upper - lower) * v[:, None]
        y = edge[:, 0] + 0.0007 * (2 * v - 1)
        points = np.stack([x, y, np.zeros_like(x)], 1)
        on_ball = self._depth(points, 0.00012)
        sheet = edge[:, 1] - 0.0009
        z = sheet * (1 - smoothstep(u, 0.35, 0.85)) + on_ball * smoothstep(u, 0.35, 0.85)
        middle = np.exp(-0.5 * (((u - 0.26) / 0.14) ** 2 + ((v - 0.42) / 0.26) ** 2))
        fold = np.exp(-0.5 * ((u - 0.66) / 0.09) ** 2) * 0.3
        points[:, 2] = z + 0.0011 * middle + 0.0004 * fold - 0.0010 * (np.abs(2 * v - 1) ** 4)
        return self.centre + points

    def _inner_edge(self, half: int) -> np.ndarray:
        margin = self.marks.eye.margin
        rings = self.marks.eye.rings
        columns = {int(vertex): k for k, vertex in enumerate(rings[margin])}
        return rings[margin + 1][[columns[int(vertex)] for vertex in (self.upper, self.lower)[half]]]

    # --- in motion ----------------------------------------------------------------------------------------------------

    def blink(self) -> Float[np.ndarray, "v 3"]:
        """What shuts the left eye: the upper margin comes down on the lower one, a little before it."""
        p = self.points
        x = self.curves[0][:, 0]
        low = np.interp(x, self.curves[1][:, 0], self.curves[1][:, 1])
        t = np.clip((x - x[0]) / (x[-1] - x[0]), 0, 1)
        arch = (4 * t * (1 - t)) ** 0.7
        shut = low + _SHUT_RISE_M * arch * np.clip((self.curves[0][:, 1] - low) / 0.006, 0, 1)
        fall = shut - self.curves[0][:, 1] - _SHUT_OVERLAP_M * np.clip(8 * t * (1 - t), 0, 1)
        rise = shut - low
        drop_u = np.interp(self.along, t, np.minimum(fall, 0.0))
        lift_l = np.interp(self.along, t, np.maximum(rise, 0.0))
        return self._slide(p, np.where(self.is_upper, drop_u, lift_l), shut=True)

    def lift(self, upper_mm: float, lower_mm: float, peak: float = 0.5) -> Float[np.ndarray, "v 3"]:
        """What raises the margins of the left eye by so much in their middle (or, `peak`, elsewhere)."""
        t = self.along ** (np.log(0.5) / np.log(np.clip(peak, 0.2, 0.8)))
        bump = np.clip(4 * t * (1 - t), 0, 1) ** 0.8
        return self._slide(self.points, 1e-3 * bump * np.where(self.is_upper, upper_mm, lower_mm))

    def steady(self, unit: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """A unit that is not the lids' own, less what it would do to the margins of both eyes."""
        free = smoothstep(self.away, 0.0012, 0.0060)
        free = np.where((self.along < 0.01) | (self.along > 0.99), np.maximum(free, 0.15), free)
        out = unit.copy()
        for zone in (self.zone, self.marks.mirror[self.zone]):
            out[zone] *= free[:, None]
        return out

    def mirrored(self, unit: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """The same on the right."""
        out = np.zeros_like(unit)
        out[self.marks.mirror] = unit * np.array([-1.0, 1.0, 1.0])
        return out

    def _slide(self, p: np.ndarray, drop: np.ndarray, shut: bool = False) -> np.ndarray:
        """Move the skin by `drop` (signed, up) at the margin, over the ball, less and less away from it."""
        reach = np.where(self.is_upper, _REACH_M["upper"], _REACH_M["lower"])
        follow = np.clip(1 - self.away / reach, 0, 1) ** 1.5
        moved = p.copy()
        moved[:, 1] += drop * follow
        behind = np.isin(np.arange(len(p)), self._behind())
        margin = self._row(self.marks.eye.margin)
        thick = np.where(behind, _CONTACT_M, _MARGIN_M + _THICKENING * self.away)
        shut_m = _SHUT_MARGIN_M - _MARGIN_M if shut else 0.0
        # Over the ball the skin rises and falls with it; how far it stood off is kept, but for the fold, which a
        # falling lid smooths out.
        before, after = self._depth(p, thick), self._depth(moved, thick + shut_m * ~behind)
        farther = np.sqrt(np.maximum((p[:, :2] ** 2).sum(1), (moved[:, :2] ** 2).sum(1)))
        over = 1 - smoothstep(farther, 0.0105, 0.0135)
        over[np.concatenate([margin, self._behind()])] = 1.0
        unrolled = smoothstep(-drop, 0.0, 0.008) * self.is_upper * ~behind * smoothstep(follow, 0.15, 0.65)
        unrolled[margin] = 0.0
        moved[:, 2] += over * smoothstep(follow, 0.0, 0.45) * (after - before)
        moved[:, 2] -= over * unrolled * (p[:, 2] - before)
        out = np.zeros((self._size, 3))
        out[self.zone] = (moved - p) * (np.abs(drop) > 0)[:, None]
        return out

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _spread(self, handles: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """The smoothest displacement of the zone that moves the handles so and leaves the zone's border alone."""
        lap, border = self._laplacian
        fixed = np.zeros(len(self.zone), bool)
        fixed[handles] = True
        out = np.zeros((len(self.zone), 3))
        out[handles] = shifts
        free = np.flatnonzero(~fixed & ~border)
        known = np.flatnonzero(fixed | border)
        smooth = (lap @ lap)[free]
        out[free] = spsolve(smooth[:, free].tocsc(), -(smooth[:, known] @ out[known]))
        return out

    def _both(self, vertices: np.ndarray, left: np.ndarray) -> np.ndarray:
        out = vertices.copy()
        out[self.zone] = left
        out[self.marks.mirror[self.zone]] = left * np.array([-1.0, 1.0, 1.0])
        return out


def _laplacian(quads: np.ndarray, zone: np.ndarray, n: int) -> tuple[sp.csr_matrix, Bool[np.ndarray, " z"]]:
    """(the graph's Laplacian on a set of vertices, which of them have neighbours outside)."""
    edges = np.unique(np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1), axis=0)
    place = np.full(n, -1)
    place[zone] = np.arange(len(zone))
    a, b = place[edges].T
    border = np.zeros(len(zone), bool)
    border[a[(a >= 0) & (b < 0)]] = True
    border[b[(b >= 0) & (a < 0)]] = True
    inside = (a >= 0) & (b >= 0)
    rows, columns = np.concatenate([a[inside], b[inside]]), np.concatenate([b[inside], a[inside]])
    graph = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(zone), len(zone)))
    degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1)
    return sp.identity(len(zone), format="csr") - sp.diags(1 / degree) @ graph, border
