"""Walking on a quad mesh: edge rings, flood fill, the loops around mouth and eyes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection

import numpy as np
from jaxtyping import Int

__all__ = ["QuadTopology", "mirror_map"]


class QuadTopology:
    """Neighbourhoods of a quad mesh."""

    def __init__(self, quads: Int[np.ndarray, "q 4"]) -> None:
        self.quads = quads
        self._quads_of: dict[int, set[int]] = defaultdict(set)
        self._neighbours: dict[int, set[int]] = defaultdict(set)
        for index, quad in enumerate(quads.tolist()):
            for corner in range(4):
                a, b = quad[corner], quad[(corner + 1) % 4]
                self._quads_of[a].add(index)
                self._neighbours[a].add(b)
                self._neighbours[b].add(a)

    def neighbours(self, vertex: int) -> set[int]:
        """The vertices that share an edge with `vertex`."""
        return self._neighbours[vertex]

    def straight_on(self, previous: int, vertex: int) -> int | None:
        """The vertex that continues the edge `previous` -> `vertex`, or None at an irregular vertex or a
        border."""
        beside: set[int] = set()
        for index in self._quads_of[previous] & self._quads_of[vertex]:
            beside.update(self.quads[index].tolist())
        ahead = [n for n in self._neighbours[vertex] if n not in beside]
        return ahead[0] if len(self._neighbours[vertex]) == 4 and len(ahead) == 1 else None

    def walk(self, start: int, second: int, longest: int = 200) -> list[int]:
        """Straight on from an edge until the walk closes, ends, or is `longest` vertices long."""
        path = [start, second]
        while len(path) < longest:
            following = self.straight_on(path[-2], path[-1])
            if following is None or following == start:
                break
            path.append(following)
        return path

    def flood(self, start: int, barrier: Collection[int]) -> set[int]:
        """All vertices that can be reached from `start` without stepping on `barrier`."""
        blocked = set(barrier)
        reached = {start}
        queue = deque([start])
        while queue:
            for neighbour in self._neighbours[queue.popleft()]:
                if neighbour not in reached and neighbour not in blocked:
                    reached.add(neighbour)
                    queue.append(neighbour)
        return reached


def mirror_map(vertices: np.ndarray, tolerance: float = 1e-3) -> Int[np.ndarray, " n"]:
    """For each vertex of a mesh symmetric in x, the vertex on the other side (itself on the midline).

    Raises:
        ValueError: if a vertex has no partner within `tolerance`.
    """
    from scipy.spatial import cKDTree

    distance, index = cKDTree(vertices).query(vertices * np.array([-1.0, 1.0, 1.0]))
    if distance.max() > tolerance:
        raise ValueError(f"mirror_map: a vertex has no mirror image (nearest {distance.max():g} away)")
    return index
