"""Laws of hair by the strand: what each shaping keeps, and that every style stays on its head."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from avatar.creation.forge.fibres import DistanceField
from avatar.creation.forge.groom import curves as cv
from avatar.creation.forge.groom.scalp import Scalp
from avatar.creation.forge.groom.styles import GROOMS, comb
from avatar.creation.forge.hair_recipe import HairRecipe, hairline_m
from avatar.errors import UserError
from tests.avatar.creation.forge.sphere_head import CENTRE, RADIUS_M, ball, marks


@pytest.fixture(scope="module")
def scalp() -> Scalp:
    surface = ball()
    low, high = CENTRE - RADIUS_M - 0.08, CENTRE + RADIUS_M + 0.08
    field = DistanceField.of(surface.vertices, surface.normals, low, high)
    return Scalp(surface, np.ones(len(surface.triangles), bool), marks(), field)


def _bundle(n: int = 20, k: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 0.003, (n, k, 3)) + np.array([0, 0.01, 0]), 1)


def test_resampling_keeps_both_ends_and_spaces_evenly_along_the_curve() -> None:
    curves = _bundle()
    out = cv.resampled(curves, 400)
    np.testing.assert_allclose(out[:, [0, -1]], curves[:, [0, -1]], atol=1e-12)
    np.testing.assert_allclose(cv.lengths(out), cv.lengths(curves), rtol=5e-3)
    np.testing.assert_allclose(cv.lengths(cv.trimmed(out, 0.25)), 0.25 * cv.lengths(out), rtol=5e-3)


def test_a_coil_keeps_its_radius_from_its_axis_and_leaves_the_root() -> None:
    axis = np.stack([np.zeros((3, 200)), np.linspace(0, 0.1, 200) * np.ones((3, 1)), np.zeros((3, 200))], 2)
    turns = np.linspace(0, 40, 200) * np.ones((3, 1))
    coil = cv.coiled(axis, np.full((3, 200), 0.004), turns)
    np.testing.assert_allclose(coil[:, 0], axis[:, 0], atol=1e-12)
    middle = coil[:, :, [0, 2]].mean(1, keepdims=True)
    spread = np.linalg.norm(coil[:, :, [0, 2]] - middle, axis=2)
    np.testing.assert_allclose(spread, 0.004, atol=3e-4)
    flat = cv.coiled(axis, np.full((3, 200), 0.004), turns, squash=0.0)
    assert np.linalg.matrix_rank(flat[0] - flat[0, 0], tol=1e-9) == 2


def test_locks_gather_within_their_family_only() -> None:
    curves = _bundle(200)
    family = (curves[:, 0, 0] > np.median(curves[:, 0, 0])).astype(int)
    middle = cv.locks_of(curves[:, 0], 12, np.random.default_rng(1), family)
    assert (family[middle] == family).all()
    assert len(np.unique(middle)) <= 12
    np.testing.assert_allclose(cv.clumped(curves, middle, np.ones((1, 12))), curves[middle], atol=1e-15)
    np.testing.assert_array_equal(cv.clumped(curves, middle, np.zeros((1, 12))), curves)


def test_a_strand_at_the_root_of_a_guide_is_that_guide_and_none_crosses_the_parting() -> None:
    guides = _bundle(30)
    roots = guides[:, 0]
    np.testing.assert_allclose(cv.followed(guides, roots, roots, neighbours=1), guides, atol=1e-12)
    left = np.arange(30) % 2
    mirrored = np.where(left[:, None, None] == 1, guides * [-1, 1, 1], guides)
    out = cv.followed(mirrored, roots, roots, (left, 1 - left), neighbours=1)
    assert not np.allclose(out, mirrored)


def test_what_is_inside_the_head_is_moved_out_and_the_rest_stays(scalp: Scalp) -> None:
    rng = np.random.default_rng(2)
    away = cv.unit(rng.normal(size=(40, 1, 3)))
    gap = rng.uniform(-0.006, 0.01, (40, 1, 1))
    curves = CENTRE + away * (RADIUS_M + gap)
    out = cv.kept_out(curves, scalp.field, 0.001)
    assert scalp.field.at(out.reshape(-1, 3)).min() > -0.0015
    free = scalp.field.at(curves.reshape(-1, 3)) > 0.0011
    np.testing.assert_array_equal(out.reshape(-1, 3)[free], curves.reshape(-1, 3)[free])


def test_relaxing_shortens_a_strand_and_keeps_its_ends(scalp: Scalp) -> None:
    top, side = CENTRE + np.array([0, RADIUS_M, 0]), CENTRE + np.array([RADIUS_M, 0, 0])
    t = cv.along(24)
    bowed = (1 - t) * top + t * side + np.sin(np.pi * t) * np.array([0.05, 0.08, 0.03])
    out = cv.relaxed(bowed, scalp.field, np.full((1, 24), 0.002), 60)
    np.testing.assert_array_equal(out[:, [0, -1]], bowed[:, [0, -1]])
    assert cv.lengths(out)[0] < 0.9 * cv.lengths(bowed)[0]
    assert scalp.field.at(out[0, 3:-3]).min() > 0


@pytest.mark.parametrize("style", sorted(GROOMS))
def test_every_style_is_rooted_behind_the_hairline_and_stays_out_of_the_head(style: str, scalp: Scalp) -> None:
    recipe = HairRecipe(style=style, strands=400)
    bundles = comb(scalp, recipe, 3)
    again = comb(scalp, recipe, 3)
    for one, other in zip(bundles, again, strict=True):
        np.testing.assert_array_equal(one.curves, other.curves)
        assert np.isfinite(one.curves).all()
        assert (one.radius_m > 0).all()
        assert len(one.radius_m) == len(one.curves)
        assert scalp.field.at(one.curves.reshape(-1, 3)).min() > -0.003
    hair = bundles[0].curves
    assert np.abs(scalp.field.at(hair[:, 0])).max() < 0.004
    assert np.quantile(hairline_m(hair[:, 0], scalp.marks, recipe, 3), 0.02) > -0.006


def test_a_style_without_a_groom_is_refused_with_the_choices(scalp: Scalp) -> None:
    assert comb(scalp, HairRecipe(style="none"), 0) == []
    with pytest.raises(UserError, match="curly, short, tied"):
        comb(scalp, HairRecipe(style="bob"), 0)


def test_coils_cut_short_are_tapered_and_leave_no_more_of_the_scalp_bare(scalp: Scalp) -> None:
    def coils(length: float, wave: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each hair its root, and how far it stands off at most; and how far points of the scalp are from a hair."""
        hair = comb(scalp, HairRecipe(style="curly", strands=8000, length=length, wave=wave), 3)[0].curves
        off = scalp.field.at(hair.reshape(-1, 3)).reshape(hair.shape[:2]).max(1)
        top = scalp.scatter((scalp.surface.vertices[:, 1] > CENTRE[1] + 0.7 * RADIUS_M).astype(float), 4000, rng)
        return hair[:, 0], off, cKDTree(hair[:, 1:].reshape(-1, 3)).query(top.points)[0]

    rng = np.random.default_rng(4)
    (roots, long, bare), (short_roots, short, short_bare) = coils(1.0, 1.0), coils(0.38, 0.36)

    def low_to_high(roots: np.ndarray, off: np.ndarray) -> float:
        up = (roots[:, 1] - CENTRE[1]) / RADIUS_M
        return float(np.median(off[up < 0.3]) / np.median(off[up > 0.8]))

    assert low_to_high(short_roots, short) < 0.7 * low_to_high(roots, long)
    assert np.quantile(short_bare, 0.95) <= 1.1 * np.quantile(bare, 0.95)
    assert np.isfinite(coils(0.38, 0.0)[1]).all()
