"""The identity basis: principal directions among random people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from avatar.creation.forge.body import part_vertices
from avatar.creation.forge.crop import Crop
from avatar.creation.forge.makehuman import (
    Phenotype,
    identity_targets,
    load_base_mesh,
    load_target,
    phenotype_offsets,
)

__all__ = ["identity_basis"]

_SAMPLES = 400
_LOCAL_CHANGES = 12  # local targets mixed into each sample
_CONCENTRATION = 0.15  # of the Dirichlet mixture: low, so that a sample resembles a few phenotypes, not their mean


def identity_basis(
    n_directions: int, crop: Crop, phenotype: Phenotype, turns: Float[np.ndarray, "n 3 3"], seed: int = 0
) -> Float[np.ndarray, "v 3 s"]:
    """Principal components of random phenotypes with random local changes, scaled to one standard deviation, metres.

    Args:
        n_directions: how many.
        crop: the head's mesh.
        phenotype: the head that the directions start from.
        turns: the rotation of each vertex's surroundings relative to the base mesh.
        seed: of the random people.
    """
    rng = np.random.default_rng(seed)
    parts = part_vertices()
    used = np.unique(np.concatenate([crop.carry.indices, *parts.values()]))
    mean = phenotype_offsets(phenotype)[used]
    corners = [
        phenotype_offsets(Phenotype(m, age, *race, weight=weight, proportions=0.0))[used]
        for m in (0.0, 1.0)
        for age in (25.0, 90.0)
        for race in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        for weight in (0.0, 0.5, 1.0)
    ]
    changes = [load_target(name)[used] for name in identity_targets()]
    carry = crop.carry[:, used]
    place = {name: np.searchsorted(used, members) for name, members in parts.items()}
    rest = (load_base_mesh().vertices[used] + mean) / 10
    samples = []
    for _ in range(_SAMPLES):
        mixture = rng.dirichlet(np.full(len(corners), _CONCENTRATION))
        sample = sum((w * c for w, c in zip(mixture, corners, strict=True) if w > 1e-3), np.zeros_like(mean))
        for change in rng.choice(len(changes), _LOCAL_CHANGES, replace=False):
            sample = sample + rng.uniform(0, 0.5) * changes[change]
        samples.append(_on_head((sample - mean) / 10, rest, carry, place, crop.members).ravel())
    matrix = np.array(samples)
    centred = matrix - matrix.mean(0)
    # Far fewer samples than coordinates: the eigenvectors of the small Gram matrix give the same directions.
    _, mixtures = np.linalg.eigh(centred @ centred.T)
    scaled = (mixtures[:, ::-1][:, :n_directions].T @ centred) / np.sqrt(_SAMPLES)
    scaled *= np.sign(scaled[np.arange(n_directions), np.abs(scaled).argmax(1)])[:, None]
    fields = scaled.reshape(n_directions, -1, 3)
    turned = np.where((crop.base_index >= 0)[:, None, None], turns[crop.base_index], np.eye(3))
    return np.einsum("vij,svj->vis", turned, fields)


def _on_head(
    change: np.ndarray,
    rest: np.ndarray,
    carry: sp.csr_matrix,
    place: Mapping[str, np.ndarray],
    members: Mapping[str, np.ndarray],
) -> np.ndarray:
    """A displacement of the base mesh as one of the head. Balls, teeth and gums move as the base mesh's own do but keep
    their shape; both eyes together stay in place."""
    out = carry @ change
    shifts = {}
    for side in ("left", "right"):
        ball = place[f"eye_{side}"]
        radial = rest[ball] - rest[ball].mean(0)
        radial /= np.linalg.norm(radial, axis=1, keepdims=True)
        shift = change[ball].mean(0)
        growth = ((change[ball] - shift) * radial).sum(1).mean()
        shifts[f"eye_{side}"] = shifts[f"caruncle_{side}"] = shift + np.array([0.0, 0.0, growth])
    for row in ("upper", "lower"):
        shifts[f"{row}_teeth"] = shifts[f"{row}_gum"] = change[place[f"{row}_teeth"]].mean(0)
    for name, shift in shifts.items():
        out[members[name]] = shift
    return out - (shifts["eye_left"] + shifts["eye_right"]) / 2
