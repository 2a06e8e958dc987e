"""A recipe's picture while its sliders move: the skin anew each time, the rest as it was, then anew part by part."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace

import numpy as np
import torch

from avatar.binding import BoundGaussians, bind, triangle_frames
from avatar.cloud import GaussianCloud
from avatar.creation.forge.anatomy import neutral_vertices
from avatar.creation.forge.hair_recipe import hair_density
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.skin import skin_radius, skin_splats
from avatar.creation.forge.stage import Layer, Stage
from avatar.creation.forge.surface import SurfacePoints

__all__ = ["Preview"]

_EVERY = 6
"""One in so many of the studio's directions is lit."""
_DETAIL_M = 0.0022
_STRANDS = 700


class Preview:
    """One head before a small studio.

    The shape of the face and everything about the skin are shown at once. Hair, brows, beard, eyes and clothes hang on
    the head and follow its shape roughly, until `settle` has made them again. Shadows on the skin
    stay those of the face that it began with.
    """

    def __init__(self, recipe: AvatarRecipe, tell: Callable[[float], None] = lambda share: None) -> None:
        """
        Args:
            tell: called with the share done, 0..1.
        """
        recipe = _draft(recipe)
        self._stage = stage = Stage(recipe, Studio.portrait().thinned(_EVERY), draft=True)
        tell(0.4)
        stage.dress()
        tell(0.6)
        stage.light()
        tell(0.8)
        self._points = stage.fine = self._sampled()
        self._visibility = stage.surface.carry(stage.baked.visibility, self._points)
        self._light = stage.surface.carry(stage.baked.light, self._points)
        self._shape = recipe.phenotype
        self._faces = torch.from_numpy(stage.faces)
        self._dressed = recipe
        self._made: dict[str, tuple[object, list[BoundGaussians]]] = {}
        self._shown = copy(stage)
        for share in (0.84, 0.88, 0.92, 0.96, 1.0):
            self.settle(recipe)
            tell(share)

    def cloud(self, recipe: AvatarRecipe) -> GaussianCloud:
        """The recipe's face, with what has been made so far."""
        stage = self._stage_of(_draft(recipe))
        seen = np.flatnonzero(stage.surface.carry(stage.garment.cover, self._points) < 0.5)
        points = stage.surface.points(*(getattr(self._points, f)[seen] for f in ("dense", "barycentric", "radius_m")))
        material = stage.material(points.positions, points.normals, points.uv)
        skin = skin_splats(points, material, self._visibility[seen], self._light[seen], stage.studio, spread=0.95)
        whole = BoundGaussians.joined(
            [skin.to_bound(stage.vertices, stage.faces), *(part for _, made in self._made.values() for part in made)]
        )
        return bind(whole, triangle_frames(torch.from_numpy(stage.vertices).float(), self._faces))

    def settle(self, recipe: AvatarRecipe) -> bool:
        """Make one part again that is not as the recipe has it; False if there was none."""
        recipe = _draft(recipe)
        stage = self._stage_of(recipe)
        shape = recipe.phenotype
        parts: tuple[tuple[str, object, Callable[[], list[Layer]]], ...] = (
            ("eyes", recipe.eyes, self._stage.eye_layers),  # balls: they have the same shape in every head
            ("hair", (recipe.hair, recipe.seed, shape), self._grown),
            ("clothes", (recipe.clothing, shape), self._cut),
            ("beard", (recipe.beard, shape), stage.beard_layers),
            ("brows", (recipe.brows, shape), stage.brow_layers),
        )
        for name, wanted, make in parts:
            if name not in self._made or self._made[name][0] != wanted:
                self._stage.recipe = recipe
                self._made[name] = wanted, [layer.splats.to_bound(layer.vertices, stage.faces) for layer in make()]
                return True
        return False

    def _stage_of(self, recipe: AvatarRecipe) -> Stage:
        """The stage with the recipe's face before it."""
        if recipe.phenotype != self._shape:
            self._shown = self._shown.on(recipe, neutral_vertices(recipe.phenotype))
            self._shown.fine = self._shown.surface.points(
                self._points.dense, self._points.barycentric, self._points.radius_m
            )
            self._shape = recipe.phenotype
        self._shown.recipe = recipe
        return self._shown

    def _grown(self) -> list[Layer]:
        self._dress()
        return self._shown.hair_layers()

    def _cut(self) -> list[Layer]:
        self._dress()
        return self._shown.clothing_layers()

    def _dress(self) -> None:
        """Grow hair and cut clothes, unless the recipe's hang there already."""
        wanted, there = self._shown.recipe, self._dressed
        if any(getattr(wanted, part) != getattr(there, part) for part in ("hair", "clothing", "phenotype", "seed")):
            self._shown.dress()
            self._shown.cast_shadows()
            self._dressed = wanted

    def _sampled(self) -> SurfacePoints:
        """Places on all skin that is ever seen: hair may be taken off, and wide collars put on."""
        stage = self._stage
        bald = 0 * hair_density(stage.surface.vertices, stage.marks, stage.recipe.hair, stage.recipe.seed)
        radius = skin_radius(stage.surface, stage.marks, bald, 0 * stage.garment.hidden, _DETAIL_M)
        points = stage.surface.sample(radius, np.random.default_rng(stage.recipe.seed))
        return points.select(~np.isin(stage.part[points.dense], ["socket", "mouth"]))


def _draft(recipe: AvatarRecipe) -> AvatarRecipe:
    return replace(recipe, hair=replace(recipe.hair, strands=min(_STRANDS, recipe.hair.strands)))
