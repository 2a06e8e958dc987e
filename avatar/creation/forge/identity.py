"""The identity basis: principal directions among random people."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from avatar.creation.forge.makehuman import Phenotype, identity_targets, load_target, phenotype_offsets

__all__ = ["identity_basis"]

_SAMPLES = 400
_LOCAL_CHANGES = 12  # local targets mixed into each sample
_CONCENTRATION = 0.15  # of the Dirichlet mixture: low, so that a sample resembles a few phenotypes, not their mean


def identity_basis(
    n_directions: int,
    base_index: Int[np.ndarray, " v"],
    eyeballs: Int[np.ndarray, " e"],
    mean_offsets: Float[np.ndarray, "v 3"],
    turns: Float[np.ndarray, "v 3 3"],
    seed: int = 0,
) -> Float[np.ndarray, "v 3 s"]:
    """Principal components of random phenotypes with random local changes, scaled to one standard
    deviation, metres.

    Args:
        n_directions: how many.
        base_index: the kept vertices of the base mesh.
        eyeballs: among them, those of the eyes; samples are aligned there.
        mean_offsets: the head that the directions start from, decimetres.
        turns: the rotation of each vertex's surroundings relative to the base mesh.
        seed: of the random people.
    """
    rng = np.random.default_rng(seed)
    corners = [
        phenotype_offsets(Phenotype(m, age, *race, weight=weight, proportions=0.0))[base_index]
        for m in (0.0, 1.0)
        for age in (25.0, 90.0)
        for race in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        for weight in (0.0, 0.5, 1.0)
    ]
    changes = [load_target(name)[base_index] for name in identity_targets()]
    samples = []
    for _ in range(_SAMPLES):
        mixture = rng.dirichlet(np.full(len(corners), _CONCENTRATION))
        sample = sum((w * c for w, c in zip(mixture, corners, strict=True) if w > 1e-3), np.zeros_like(mean_offsets))
        for change in rng.choice(len(changes), _LOCAL_CHANGES, replace=False):
            sample = sample + rng.uniform(0, 0.5) * changes[change]
        sample = sample - mean_offsets
        samples.append((sample - sample[eyeballs].mean(0)).ravel() / 10)
    matrix = np.array(samples)
    centred = matrix - matrix.mean(0)
    # Far fewer samples than coordinates: the eigenvectors of the small Gram matrix give the same directions.
    _, mixtures = np.linalg.eigh(centred @ centred.T)
    scaled = (mixtures[:, ::-1][:, :n_directions].T @ centred) / np.sqrt(_SAMPLES)
    scaled *= np.sign(scaled[np.arange(n_directions), np.abs(scaled).argmax(1)])[:, None]
    fields = scaled.reshape(n_directions, len(base_index), 3)
    return np.einsum("vij,svj->vis", turns, fields)
