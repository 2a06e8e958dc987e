"""What tracking knows of our heads, learned from renders of the avatars that ship: landmark places and driving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.spatial.transform import Rotation

from avatar.creation.capture.landmark_places import Observations, PlaceFinder
from avatar.creation.capture.rendered_people import as_webcam, people, side_sittings, sittings, various_people
from avatar.errors import UserError
from avatar.flame.head import HeadModel
from avatar.formats.atomic import replacing
from avatar.heads import open_head
from avatar.render import open_renderer
from avatar.tracking.driving import DrivingModel, canonical_places, features
from avatar.tracking.landmarker import FaceLandmarker, FaceLandmarks
from avatar.tracking.shape_guess import ShapeGuess

__all__ = ["build_tables", "learn_shapes"]

_PICTURE_PX = 360
_NEUTRAL = 3
_PLACES_EVERY = 10
"""One picture in so many says where landmarks lie: casting back is slow, and a few hundred suffice."""
_SIDES_OF = 2
"""People whose shapes are learned from three sides, for each one that the rest is learned from."""
_BESIDES = 0.3
_SHAPES = "looking at faces from three sides"


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
    weights, who, rotations = [], [], []
    shapes: dict[int, np.ndarray] = {}
    observed: list[Observations] = []
    observed_who: list[int] = []
    total = 0
    crowd = people(avatars, count, seed)
    for total, sitting in enumerate(
        sittings(crowd, open_renderer("cpu"), each, seed + 1, _PICTURE_PX, neutral=_NEUTRAL), 1
    ):
        tell("looking at rendered people", 0.58 * total / (count * each))
        landmarker.forget()
        found = landmarker.follow(sitting.picture)
        if found is None:
            continue
        seen.append(found)
        weights.append(sitting.weights)
        who.append(sitting.number)
        rotations.append(sitting.camera.viewmat[:3, :3].astype(np.float64))
        if sitting.number not in shapes:
            shapes[sitting.number] = _coefficients(head, sitting.person.head)
        if total % _PLACES_EVERY == 0:
            vertices = sitting.person.head.vertices(sitting.params).double().numpy()
            observed.append(finder.observe(found, sitting.camera, vertices))
            observed_who.append(sitting.number)
    if len(seen) < 0.5 * total or not observed:
        raise UserError(f"faces were found in {len(seen)} of {total} renders: too few to learn from")
    tell("learning", 0.58)
    landmarks = finder.average(observed, observed_who)
    canonical = canonical_places(landmarks.places(head.v_template.double().numpy(), head.faces.numpy()))
    faces = [features(found, canonical) for found in seen]
    truth, people_of, views = np.array(weights), np.array(who), np.array(rotations)
    rests, keep = {}, []
    for person in np.unique(people_of):
        mine = np.flatnonzero(people_of == person)
        rest = mine[truth[mine].sum(1) == 0]
        if len(rest):
            values = np.median([faces[i].values for i in rest], 0)
            rests[person] = values, _mean_rotation([faces[i].rotation for i in rest]), _mean_rotation(views[rest])
            keep += mine.tolist()
    model = DrivingModel.learn(
        canonical,
        [faces[i] for i in keep],
        truth[keep],
        [rests[people_of[i]][:2] for i in keep],
        np.array([views[i] @ rests[people_of[i]][2].T for i in keep]),
        np.array([shapes[people_of[i]] for i in keep]),
    )
    guess = learn_shapes(model, avatars, _SIDES_OF * count, seed + 2, lambda share: tell(_SHAPES, 0.6 + 0.4 * share))
    with replacing(path) as fresh:
        save_file(
            {
                "triangles": landmarks.triangles,
                "barycentric": landmarks.barycentric,
                "spread_m": landmarks.spread_m,
                "n_vertices": np.array([head.n_vertices]),
                "n_faces": np.array([len(head.faces)]),
                "canonical": canonical.astype(np.float32),
                **model.driving.tensors(),
                "turn_of_turn": model.turn_of_turn,
                "turn_of_face": model.turn_of_face,
                "shape_matrix": model.shape_matrix,
                "shape_offset": model.shape_offset,
                **guess.tensors(),
            },
            fresh,
        )
    tell("done", 1.0)
    return len(seen) / total


def learn_shapes(
    model: DrivingModel, avatars: Sequence[str], count: int, seed: int, tell: Callable[[float], None]
) -> ShapeGuess:
    """What three sides of a face at rest say of its head, from `count` people, as they are and as webcams see them."""
    head, _ = open_head()
    landmarker, seen, who, rng = FaceLandmarker(), [], [], np.random.default_rng(seed + 2)
    shapes: list[np.ndarray] = []
    crowd = side_sittings(various_people(avatars, count, seed), open_renderer("cpu"), seed + 1, _PICTURE_PX)
    for sitting in crowd:
        tell(sitting.number / count)
        if sitting.number == len(shapes):
            shapes.append(_coefficients(head, sitting.person.head, _BESIDES))
        for picture in (sitting.picture, as_webcam(sitting.picture, rng)):
            landmarker.forget()
            found = landmarker.follow(picture)
            if found is not None:
                seen.append(model.features(found))
                who.append(sitting.number)
    return ShapeGuess.learn(seen, who, np.array(shapes))


def _mean_rotation(rotations: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    return np.asarray(Rotation.from_matrix(np.array(rotations)).mean().as_matrix())


def _coefficients(generic: HeadModel, own: HeadModel, besides: float = 0.0) -> np.ndarray:
    """The shape coefficients of the generic head that come nearest to another's face.

    Args:
        besides: what the rest of the skin counts beside the face. With 0 it is left to chance: skull and ears are
            several millimetres off, the neck centimetres.
    """
    counts = torch.zeros(generic.n_vertices, 1, dtype=torch.float64)
    counts[generic.regions["skin"]] = besides
    counts[generic.regions["face"]] = 1.0
    dirs = generic.shapedirs[..., : generic.n_shape].double() * counts[..., None]
    away = (own.v_template - generic.v_template).double() * counts
    return np.asarray(np.linalg.lstsq(dirs.reshape(-1, generic.n_shape).numpy(), away.ravel().numpy(), rcond=None)[0])
