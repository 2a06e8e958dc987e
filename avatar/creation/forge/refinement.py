"""Refining a part of a quad mesh: four quads for one where detail is wanted, and quads only at the seam.

A quad beside the refined part has edges that are divided. One with two divided edges becomes quads by itself; those
with one are paired along the seam, and every edge on the way from one of a pair to the other is divided too.

Reference: Catmull and Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", 1978, for the
positions; Schneiders, "Refining quadrilateral and hexahedral element meshes", 1996, for the seam.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

__all__ = ["Refinement", "refine"]


@dataclass(frozen=True)
class Refinement:
    """A refined mesh.

    Attributes:
        matrix: from the old vertices to the new ones; the old vertices come first.
        quads: the new quads.
        parent: the old quad of each.
        corners: where the corners of each lie in its parent, 0..1 in both directions (corner 0 of the parent is (0, 0),
            corner 1 (1, 0), corner 2 (1, 1)).
    """

    matrix: sp.csr_matrix
    quads: Int[np.ndarray, "q 4"]
    parent: Int[np.ndarray, " q"]
    corners: Float[np.ndarray, "q 4 2"]


_SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def refine(
    quads: Int[np.ndarray, "q 4"], chosen: Bool[np.ndarray, " q"], n_vertices: int, mirror: Int[np.ndarray, " n"]
) -> Refinement:
    """Divide the quads that are `chosen`, and a few more where the seam could not be closed with quads otherwise.

    Args:
        quads: a mesh with a left and a right half.
        chosen: which quads, the same on both sides.
        n_vertices: how many vertices the mesh has.
        mirror: for each vertex that on the other side, itself on the midline. The refined mesh is as symmetric.

    Raises:
        ValueError: if an edge belongs to more than two quads, or the seam cannot be closed.
    """
    edges = _Edges(quads, mirror)
    divided, chosen = edges.close(chosen)
    builder = _Builder(quads, edges, divided, n_vertices)
    for q in range(len(quads)):
        builder.divide(q, bool(chosen[q]))
    return builder.finish(chosen)


class _Edges:
    """Which edges a quad has, which quads an edge, and what lies on the other side of the midline."""

    def __init__(self, quads: np.ndarray, mirror: np.ndarray) -> None:
        corners = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
        self.ends, inverse, count = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
        if count.max(initial=0) > 2:
            raise ValueError("refine: an edge belongs to more than two quads")
        self.of_quad: np.ndarray = inverse.reshape(-1, 4)
        self.quads = np.full((len(self.ends), 2), -1)
        for q, row in enumerate(self.of_quad.tolist()):
            for e in row:
                self.quads[e, int(self.quads[e, 0] >= 0)] = q
        edge_at = {tuple(pair): e for e, pair in enumerate(self.ends.tolist())}
        self.twin = np.array([edge_at[tuple(pair)] for pair in np.sort(mirror[self.ends], 1).tolist()])
        quad_at = {tuple(sorted(row)): q for q, row in enumerate(self.of_quad.tolist())}
        self.twin_quad = np.array([quad_at[tuple(sorted(row))] for row in self.twin[self.of_quad].tolist()])

    def close(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(divided edges, chosen quads), so many that every quad beside them can be divided into quads."""
        chosen = chosen | chosen[self.twin_quad]
        while True:
            divided = np.zeros(len(self.ends), bool)
            divided[self.of_quad[chosen]] = True
            beside = np.where(chosen, 0, divided[self.of_quad].sum(1))
            if not (beside > 2).any():
                break
            chosen |= beside > 2
        # One half is worked on; the other is its mirror image.
        half = np.arange(len(self.of_quad)) <= self.twin_quad
        waiting = set(np.flatnonzero((beside == 1) & half).tolist())
        free = set(np.flatnonzero((beside == 0) & ~chosen & half).tolist())
        # Neighbours first, those with the fewest to choose from before the others; then whoever is nearest.
        for longest in (1, len(self.of_quad)):
            for q in sorted(waiting, key=lambda k: (len(self._around(k, divided, waiting)), k)):
                found = self._path(q, waiting, free, divided, longest) if q in waiting else None
                if found is not None:
                    quads, edges = found
                    divided[edges] = divided[self.twin[edges]] = True
                    waiting -= set(quads)
                    free -= set(quads)
        if waiting:
            raise ValueError("refine: the refined part cannot be closed with quads")
        return divided, chosen

    def _around(self, q: int, divided: np.ndarray, among: set[int]) -> list[tuple[int, int]]:
        """(edge, quad) across the undivided edges of a quad; a quad's own mirror image stands for itself."""
        out = []
        for e in self.of_quad[q]:
            for other in self.quads[e]:
                if divided[e] or other < 0 or other == q:
                    continue
                if other == self.twin_quad[q]:
                    out.append((int(e), q))
                elif int(other) in among:
                    out.append((int(e), int(other)))
        return out

    def _path(
        self, start: int, ends: set[int], free: set[int], divided: np.ndarray, longest: int
    ) -> tuple[list[int], list[int]] | None:
        """The shortest way from a quad to another of `ends`, or to the midline, through `free` ones.

        Returns:
            the quads on it and the edges between them.
        """
        came: dict[int, tuple[int, int]] = {start: (-1, start)}
        queue = deque([(start, 0)])
        while queue:
            q, steps = queue.popleft()
            if steps == longest:
                continue
            for edge, other in sorted(self._around(q, divided, ends | free), key=lambda p: (p[1] not in ends, p)):
                if other == q or (other in ends and other != start):
                    quads, edges = [other], [edge]
                    if other != q:
                        quads.append(q)
                    while quads[-1] != start:
                        back, previous = came[quads[-1]]
                        edges.append(back)
                        quads.append(previous)
                    return quads, edges
                if other not in came:
                    came[other] = (edge, q)
                    queue.append((other, steps + 1))
        return None


class _Builder:
    """Collects new vertices and quads."""

    def __init__(self, quads: np.ndarray, edges: _Edges, divided: np.ndarray, n_vertices: int) -> None:
        self.old, self.edges, self.n = quads, edges, n_vertices
        self.middle = np.full(len(edges.ends), -1)
        self.middle[divided] = n_vertices + np.arange(int(divided.sum()))
        self.centres: list[int] = []  # the quads that have a vertex inside
        self.first_centre = n_vertices + int(divided.sum())
        self.quads: list[list[int]] = []
        self.parent: list[int] = []
        self.corners: list[np.ndarray] = []

    def divide(self, q: int, whole: bool) -> None:
        corner, middle = self.old[q].tolist(), self.middle[self.edges.of_quad[q]].tolist()
        split = [k for k in range(4) if middle[k] >= 0]
        half = [(_SQUARE[k] + _SQUARE[(k + 1) % 4]) / 2 for k in range(4)]
        if whole:
            centre = self._centre(q)
            for k in range(4):
                self._add(
                    q,
                    [corner[k], middle[k], centre, middle[k - 1]],
                    [_SQUARE[k], half[k], np.full(2, 0.5), half[k - 1]],
                )
        elif not split:
            self._add(q, corner, list(_SQUARE))
        elif (split[1] - split[0]) % 2 == 0:
            a, b = split
            for k, m in ((a, b), (b, a)):
                self._add(
                    q,
                    [middle[k], corner[(k + 1) % 4], corner[m], middle[m]],
                    [half[k], _SQUARE[(k + 1) % 4], _SQUARE[m], half[m]],
                )
        else:
            a = split[0] if split[1] - split[0] == 1 else split[1]  # edges a and a + 1 meet at corner a + 1
            b, c, d = (a + 1) % 4, (a + 2) % 4, (a + 3) % 4
            centre, inside = self._centre(q), np.full(2, 0.5)
            self._add(q, [corner[a], middle[a], centre, corner[d]], [_SQUARE[a], half[a], inside, _SQUARE[d]])
            self._add(q, [middle[a], corner[b], middle[b], centre], [half[a], _SQUARE[b], half[b], inside])
            self._add(q, [centre, middle[b], corner[c], corner[d]], [inside, half[b], _SQUARE[c], _SQUARE[d]])

    def _centre(self, q: int) -> int:
        self.centres.append(q)
        return self.first_centre + len(self.centres) - 1

    def _add(self, q: int, quad: list[int], corners: list[np.ndarray]) -> None:
        self.quads.append(quad)
        self.parent.append(q)
        self.corners.append(np.stack(corners))

    def finish(self, chosen: np.ndarray) -> Refinement:
        """With the positions of Catmull and Clark; old vertices that are not wholly inside stay where they are."""
        m, n = len(self.old), self.n
        face = sp.csr_matrix((np.full(4 * m, 0.25), (np.repeat(np.arange(m), 4), self.old.ravel())), shape=(m, n))
        e = np.flatnonzero(self.middle >= 0)
        rows = np.repeat(np.arange(len(e)), 2)
        ends = sp.csr_matrix((np.full(2 * len(e), 0.5), (rows, self.edges.ends[e].ravel())), shape=(len(e), n))
        both = (self.edges.quads[e] >= 0).all(1)
        inner = np.flatnonzero(both)
        sides = sp.csr_matrix(
            (np.full(2 * len(inner), 0.5), (np.repeat(inner, 2), self.edges.quads[e[inner]].ravel())), shape=(len(e), m)
        )
        middles = sp.diags(np.where(both, 0.5, 1.0)) @ ends + 0.5 * sides @ face

        of_vertex = sp.csr_matrix((np.ones(4 * m), (self.old.ravel(), np.repeat(np.arange(m), 4))), shape=(n, m))
        valence = np.maximum(np.asarray(of_vertex.sum(1)).ravel(), 1)
        border = np.zeros(n, bool)
        border[self.edges.ends[self.edges.quads[:, 1] < 0].ravel()] = True
        inside = (np.asarray(of_vertex @ (~chosen).astype(float)).ravel() == 0) & ~border
        inside &= np.asarray(of_vertex.sum(1)).ravel() > 0
        spokes = sp.csr_matrix(
            (np.full(2 * len(self.edges.ends), 0.5), (self.edges.ends.ravel(), self.edges.ends[:, ::-1].ravel())),
            shape=(n, n),
        ) + sp.diags(np.bincount(self.edges.ends.ravel(), minlength=n) * 0.5)
        smooth = (
            sp.diags(inside / valence**2) @ (of_vertex @ face)
            + sp.diags(2 * inside / valence**2) @ spokes
            + sp.diags(inside * (valence - 3) / valence)
        )
        vertices = smooth + sp.diags((~inside).astype(float))
        matrix = sp.vstack([vertices, middles, face[self.centres]]).tocsr()
        return Refinement(matrix, np.array(self.quads), np.array(self.parent), np.array(self.corners))
