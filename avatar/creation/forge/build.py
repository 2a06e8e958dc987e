"""From a recipe to an avatar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch

from avatar.binding import BoundGaussians
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.forge.stage import Layer, Stage
from avatar.rig import Avatar

__all__ = ["MAX_GAUSSIANS", "forge"]

MAX_GAUSSIANS = 115_000

Progress = Callable[[float, str], None]


def forge(recipe: AvatarRecipe, progress: Progress | None = None, studio: Studio | None = None) -> Avatar:
    """Build an avatar; takes about a minute. The same recipe gives the same avatar.

    Args:
        recipe: who.
        progress: called with a fraction 0..1 and what is being made.
        studio: the light to bake; by default that of a portrait.

    Raises:
        UserError: if the anatomy's data files are missing or the recipe asks for something unknown.
    """
    tell = progress or (lambda fraction, what: None)
    tell(0.0, "anatomy")
    stage = Stage(recipe, studio or Studio.portrait())
    layers: list[Layer] = []
    tell(0.10, "hair and clothes")
    stage.dress()
    tell(0.20, "light")
    stage.light()
    tell(0.45, "skin")
    layers += stage.skin_layers()
    tell(0.60, "eyes and mouth")
    layers += stage.feature_layers()
    tell(0.75, "hair")
    layers += stage.hair_layers()
    tell(0.90, "clothes")
    layers += stage.clothing_layers()
    bound = _ordered(layers, stage.faces, recipe.seed)
    tell(1.0, "done")
    anatomy = stage.anatomy
    metadata = {"description": recipe.description, "licence": "CC0-1.0", "recipe": asdict(recipe)}
    return Avatar(recipe.name, anatomy.head(), bound, anatomy.arkit, metadata=metadata)


def _ordered(layers: list[Layer], faces: np.ndarray, seed: int) -> BoundGaussians:
    """Bind every layer in its own pose and sort them all by importance."""
    keys, parts = [], []
    for layer in layers:
        n = len(layer.splats)
        keys.append(layer.first + (layer.last - layer.first) * (np.arange(n) + 0.5) / max(n, 1))
        parts.append(layer.splats.to_bound(layer.vertices, faces))
    order = torch.from_numpy(np.argsort(np.concatenate(keys), kind="stable")[:MAX_GAUSSIANS].copy())
    return BoundGaussians.joined(parts).reordered(order)
