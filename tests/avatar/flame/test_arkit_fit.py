"""ARKit's blendshapes on another basis: what could be represented is found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatar.flame.arkit import NAMES, weights_from_dict
from avatar.flame.arkit_fit import ArkitFit, fit_arkit, transfer_regions
from avatar.flame.correspondence import Correspondence, match_surfaces
from avatar.flame.head import HeadModel
from avatar.formats.flame_model import read_flame
from avatar.heads import open_head
from tests.avatar.formats.flame_like import flame_like
from tests.avatar.synthetic import make_head


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    path = tmp_path_factory.mktemp("flame") / "flame.npz"
    np.savez(path, **flame_like())
    return read_flame(path)


@pytest.fixture(scope="module")
def match(target: HeadModel) -> Correspondence:
    return match_surfaces(open_head()[0], target)


@pytest.fixture(scope="module")
def fit(target: HeadModel, match: Correspondence) -> ArkitFit:
    return fit_arkit(*open_head(), target, match=match)


def test_barycentric_weights_are_weights(match: Correspondence) -> None:
    np.testing.assert_allclose(match.weights.sum(1), 1, atol=1e-9)
    assert match.weights.min() > -1e-9 and match.matched.mean() > 0.8


def test_a_head_matches_itself() -> None:
    """Each vertex of the face finds its own place; exactly, where the surface is not folded upon itself."""
    head, _ = open_head()
    found = match_surfaces(head, head)
    points = np.einsum("vk,vkc->vc", found.weights, head.v_template.numpy()[found.corners])
    face = np.intersect1d(head.regions["face"].numpy(), np.flatnonzero(found.matched))
    distance = np.linalg.norm(points - head.v_template.numpy(), axis=1)[face] * 1e3
    assert np.median(distance) < 0.3 and np.percentile(distance, 90) < 1.5
    assert abs(found.scale - 1) < 0.01


def test_known_blendshapes_are_found_again(fit: ArkitFit) -> None:
    """The fixture's basis can represent all of them, so that what is left is the matching of surfaces."""
    assert fit.arkit.residual_mm < 0.4
    for name in ("mouthSmileLeft", "mouthPucker", "browInnerUp", "mouthClose", "cheekPuff", "jawLeft"):
        assert fit.residual_mm[name] < 0.1 * fit.size_mm[name], name
    assert set(fit.residual_mm) == set(NAMES)
    assert "mm RMS" in fit.summary()


def test_the_jaw_turns_by_its_joint(fit: ArkitFit, target: HeadModel) -> None:
    _, arkit = open_head()
    i = NAMES.index("jawOpen")
    assert abs(fit.arkit.jaw[i, 0] - arkit.jaw[i, 0]) < 0.12
    others = [k for k, n in enumerate(NAMES) if not n.startswith("jaw")]
    assert not fit.arkit.jaw[others].any()
    np.testing.assert_array_equal(fit.arkit.leye, arkit.leye)


def test_fitted_blendshapes_move_the_right_side(fit: ArkitFit, target: HeadModel) -> None:
    rest = target.v_template.numpy()
    pose = fit.arkit.params(weights_from_dict({"mouthSmileLeft": 1.0}))
    moved = np.linalg.norm(target.vertices(pose).numpy() - rest, axis=1)
    assert moved[rest[:, 0] > 0.01].max() > 5 * moved[rest[:, 0] < -0.01].max()


def test_a_heavier_penalty_gives_smaller_coefficients_and_a_worse_fit(
    fit: ArkitFit, target: HeadModel, match: Correspondence
) -> None:
    heavy = fit_arkit(*open_head(), target, ridge=1.0, match=match)
    assert np.abs(heavy.arkit.expression).sum() < np.abs(fit.arkit.expression).sum()
    assert heavy.arkit.residual_mm > fit.arkit.residual_mm


def test_regions_come_along(target: HeadModel, match: Correspondence) -> None:
    source, _ = open_head()
    named = transfer_regions(source, target, match)
    inner = {"tongue", "upper_gum", "lower_gum", "caruncle_left", "caruncle_right", "mouth_interior", "eyes"}
    assert set(source.regions) - set(named.regions) <= inner
    corner = named.v_template[named.regions["mouth_corner_left"]].mean(0)
    np.testing.assert_allclose(corner, source.v_template[source.regions["mouth_corner_left"]].mean(0), atol=6e-3)
    lips = named.v_template[named.regions["lips"]]
    own = source.v_template[source.regions["lips"]]
    np.testing.assert_allclose(lips.mean(0), own.mean(0), atol=6e-3)
    np.testing.assert_array_equal(named.regions["upper_lip_inner"], target.regions["upper_lip_inner"])


def test_heads_without_lips_are_refused(target: HeadModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="upper_lip_inner"):
        match_surfaces(make_head(), target)
