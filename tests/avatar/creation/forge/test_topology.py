"""Walks and floods on quad meshes."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.creation.forge.topology import QuadTopology, mirror_map


def tube(around: int, along: int) -> np.ndarray:
    """Quads of an open cylinder; vertex r * around + k is on ring r."""
    ring, k = (g.ravel() for g in np.mgrid[: along - 1, :around])
    following = (k + 1) % around
    return np.stack(
        [ring * around + k, ring * around + following, (ring + 1) * around + following, (ring + 1) * around + k], 1
    )


def test_a_walk_around_a_tube_closes_and_one_along_it_ends_at_the_border() -> None:
    topology = QuadTopology(tube(9, 6))
    around = topology.walk(2 * 9 + 4, 2 * 9 + 5)
    assert around == [2 * 9 + (4 + i) % 9 for i in range(9)]
    along = topology.walk(9 + 3, 2 * 9 + 3)
    assert along == [9 + 3, 2 * 9 + 3, 3 * 9 + 3, 4 * 9 + 3, 5 * 9 + 3]


def test_straight_on_is_undone_by_turning_back() -> None:
    topology = QuadTopology(tube(8, 7))
    rng = np.random.default_rng(0)
    for _ in range(30):
        vertex = int(rng.integers(16, 40))
        previous = sorted(topology.neighbours(vertex))[int(rng.integers(4))]
        following = topology.straight_on(previous, vertex)
        assert following is not None
        assert topology.straight_on(following, vertex) == previous


def test_a_ring_divides_a_tube_for_a_flood() -> None:
    topology = QuadTopology(tube(8, 7))
    barrier = list(range(3 * 8, 4 * 8))
    assert topology.flood(0, barrier) == set(range(3 * 8))
    assert topology.flood(6 * 8, barrier) == set(range(4 * 8, 7 * 8))


def test_the_mirror_of_the_mirror_is_the_vertex_itself() -> None:
    rng = np.random.default_rng(1)
    half = rng.normal(size=(20, 3))
    half[:3, 0] = 0
    vertices = rng.permutation(np.concatenate([half, half[3:] * [-1, 1, 1]]))
    mirror = mirror_map(vertices)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(vertices)))
    np.testing.assert_allclose(vertices[mirror] * [-1, 1, 1], vertices, atol=1e-12)
    with pytest.raises(ValueError, match="no mirror image"):
        mirror_map(vertices + np.array([0.5, 0, 0]))
