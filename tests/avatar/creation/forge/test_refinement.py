"""Laws of refining a part of a mesh: quads only, no open seam, symmetric, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.creation.forge.refinement import refine
from avatar.creation.forge.topology import mirror_map


def grid(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square of n x n quads (n even), the midline in its middle: vertices, quads, mirror."""
    y, x = np.mgrid[: n + 1, : n + 1]
    vertices = np.stack([x.ravel() - n / 2, y.ravel(), np.zeros(x.size)], 1).astype(float)
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)[None]).ravel()
    return vertices, np.stack([corner, corner + 1, corner + n + 2, corner + n + 1], 1), mirror_map(vertices)


def some(n: int, seed: int) -> np.ndarray:
    """A ragged symmetric patch of the grid's quads, away from its border."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros((n, n), bool)
    chosen[3:-3, 3:-3] = rng.random((n - 6, n - 6)) < 0.7
    return (chosen | chosen[:, ::-1]).ravel()


def edge_counts(quads: np.ndarray) -> np.ndarray:
    ends = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    return np.unique(ends, axis=0, return_counts=True)[1]


@pytest.mark.parametrize("seed", range(6))
def test_the_seam_is_closed_and_the_plane_covered_once(seed: int) -> None:
    n = 14
    vertices, quads, mirror = grid(n)
    refined = refine(quads, some(n, seed), len(vertices), mirror)
    points = refined.matrix @ vertices
    p = points[refined.quads]
    area = np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1])[:, 2] / 2
    assert area.min() > 0
    assert area.sum() == pytest.approx(n * n)
    counts = edge_counts(refined.quads)
    assert counts.max() == 2
    assert (counts == 1).sum() == 4 * n  # the border of the square, and no other
    assert len(np.unique(refined.quads)) == len(points)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_as_symmetric_as_the_mesh(seed: int) -> None:
    vertices, quads, mirror = grid(14)
    refined = refine(quads, some(14, seed), len(vertices), mirror)
    mirror_map(refined.matrix @ vertices, tolerance=1e-9)


def test_chosen_quads_become_four_and_corners_say_where() -> None:
    vertices, quads, mirror = grid(8)
    chosen = np.zeros((8, 8), bool)
    chosen[2:5, 3:5] = True
    refined = refine(quads, chosen.ravel(), len(vertices), mirror)
    assert (np.bincount(refined.parent)[chosen.ravel()] == 4).all()
    a, b = refined.corners[..., 0:1], refined.corners[..., 1:2]
    old = vertices[quads][refined.parent]
    there = (
        (1 - a) * (1 - b) * old[:, 0:1] + a * (1 - b) * old[:, 1:2] + a * b * old[:, 2:3] + (1 - a) * b * old[:, 3:4]
    )
    np.testing.assert_allclose((refined.matrix @ vertices)[refined.quads], there, atol=1e-12)  # flat and even: exact


def test_weights_sum_to_one_and_what_is_far_away_stays() -> None:
    vertices, quads, mirror = grid(10)
    chosen = np.zeros((10, 10), bool)
    chosen[4:6, 4:6] = True
    rng = np.random.default_rng(0)
    refined = refine(quads, chosen.ravel(), len(vertices), mirror)
    np.testing.assert_allclose(np.asarray(refined.matrix.sum(1)), 1.0)
    heights = rng.normal(size=len(vertices))
    moved = refined.matrix @ heights
    far = (np.abs(vertices[:, 0]) > 2.5) | (np.abs(vertices[:, 1] - 5) > 2.5)
    np.testing.assert_array_equal(moved[: len(vertices)][far], heights[far])


def test_nothing_chosen_changes_nothing() -> None:
    vertices, quads, mirror = grid(4)
    refined = refine(quads, np.zeros(16, bool), len(vertices), mirror)
    np.testing.assert_array_equal(refined.quads, quads)
    np.testing.assert_array_equal(refined.matrix @ vertices, vertices)


def test_a_mesh_that_branches_is_refused() -> None:
    quads = np.array([[0, 1, 2, 3], [0, 1, 4, 5], [0, 1, 6, 7]])
    with pytest.raises(ValueError, match="more than two"):
        refine(quads, np.ones(3, bool), 8, np.arange(8))
