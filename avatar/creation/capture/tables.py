"""What tracking knows of our heads, learned from renders of the avatars that ship: landmark places and driving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from avatar.creation.capture.landmark_places import Observations, PlaceFinder
from avatar.creation.capture.rendered_people import people, sittings
from avatar.errors import UserError
from avatar.heads import open_head
from avatar.render import open_renderer
from avatar.tracking.driving import DrivingModel, canonical_places, features
from avatar.tracking.landmarker import FaceLandmarker, FaceLandmarks

__all__ = ["build_tables"]

_PICTURE_PX = 360
_NEUTRAL = 3
_PLACES_EVERY = 10
"""One picture in so many says where landmarks lie: casting back is slow, and a few hundred suffice."""
_COMPONENTS, _RIDGE = 140, 30.0


def build_tables(
    path: Path,
    avatars: Sequence[str],
    count: int = 200,
    each: int = 15,
    seed: int = 7,
    tell: Callable[[str, float], None] = lambda what, share: None,
) -> float:
    """Render people made from `avatars`, track them, and write what follows from it.

    Returns:
        The share of pictures in which the face was found.

    Raises:
        UserError: if too few faces were found.
    """
    head, _ = open_head()
    landmarker, finder = FaceLandmarker(), PlaceFinder(head)
    seen: list[FaceLandmarks] = []
    weights, who = [], []
    observed: list[Observations] = []
    observed_who: list[int] = []
    total = 0
    crowd = people(avatars, count, seed)
    for total, sitting in enumerate(
        sittings(crowd, open_renderer("cpu"), each, seed + 1, _PICTURE_PX, neutral=_NEUTRAL), 1
    ):
        tell("looking at rendered people", 0.9 * total / (count * each))
        landmarker.forget()
        found = landmarker.follow(sitting.picture)
        if found is None:
            continue
        seen.append(found)
        weights.append(sitting.weights)
        who.append(sitting.number)
        if total % _PLACES_EVERY == 0:
            vertices = sitting.person.head.vertices(sitting.params).double().numpy()
            observed.append(finder.observe(found, sitting.camera, vertices))
            observed_who.append(sitting.number)
    if len(seen) < 0.5 * total or not observed:
        raise UserError(f"faces were found in {len(seen)} of {total} renders: too few to learn from")
    tell("learning", 0.92)
    landmarks = finder.average(observed, observed_who)
    canonical = canonical_places(landmarks.places(head.v_template.double().numpy(), head.faces.numpy()))
    values = np.array([features(found, canonical).values for found in seen])
    truth, people_of = np.array(weights), np.array(who)
    keep = np.zeros(len(values), bool)
    for person in np.unique(people_of):
        mine = people_of == person
        rest = mine & (truth.sum(1) == 0)
        if rest.any():
            values[mine] -= np.median(values[rest], 0)
            keep |= mine
    model = DrivingModel.learn(canonical, values[keep], truth[keep], _COMPONENTS, _RIDGE)
    part = path.with_name(path.name + ".part")
    save_file(
        {
            "triangles": landmarks.triangles,
            "barycentric": landmarks.barycentric,
            "spread_m": landmarks.spread_m,
            "n_vertices": np.array([head.n_vertices]),
            "n_faces": np.array([len(head.faces)]),
            "canonical": canonical.astype(np.float32),
            "driving_matrix": model.matrix.astype(np.float16),
        },
        part,
    )
    part.replace(path)
    tell("done", 1.0)
    return len(seen) / total
