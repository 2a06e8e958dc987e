"""The background behind somebody before a camera that stands still, and the mattes that it gives."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from avatar.creation.capture.plate import Plate
from avatar.tracking.matte import soft_matte

_SIZE = 120
_HAIR, _ROOM = np.array([0.16, 0.12, 0.10]), np.array([0.35, 0.70, 0.60])


def _people(background_moves: bool = False, spot: bool = False):
    """Pictures of a dark disk with a wispy edge that moves, what a coarse network says of it, and the true alpha."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIZE, :_SIZE] / _SIZE
    pictures, people, truth = [], [], []
    wisps = ndimage.gaussian_filter(rng.normal(size=(_SIZE, _SIZE)), 1.0) * 0.25
    for k in range(12):
        away = np.hypot(x - 0.5 - 0.1 * np.sin(k), y - 0.55)
        alpha = np.clip((0.28 - away + wisps * (away > 0.22)) / 0.06, 0, 1)
        room = _ROOM + 0.2 * (x[..., None] - 0.5)
        if background_moves:
            room = room + 0.15 * np.sin(40 * (x + 0.07 * k))[..., None]
        own = np.where((spot & (away < 0.04))[..., None], _ROOM, _HAIR)
        seen = (1 + 0.02 * np.sin(2 * k)) * (alpha[..., None] * own + (1 - alpha[..., None]) * room)
        noisy = seen + rng.normal(0, 0.005, seen.shape)
        pictures.append(Image.fromarray((255 * noisy).round().clip(0, 255).astype(np.uint8)))
        people.append(np.clip((0.27 - away) / 0.1 + 0.5, 0, 1))
        truth.append(alpha)
    return pictures, people, truth


def _off(mattes, truth) -> float:
    return float(
        np.mean([np.abs(m.alpha - t).sum() / (2 * np.pi * 0.28 * _SIZE) for m, t in zip(mattes, truth, strict=True)])
    )


def _hair_off(mattes, truth) -> float:
    """Where a little of the background shines through."""
    some = [m.foreground[(t > 0.5) & (t < 0.9)] for m, t in zip(mattes, truth, strict=True)]
    return float(np.abs(np.concatenate(some) - _HAIR).max(-1).mean())


def test_hair_before_a_still_background_is_cut_out_better():
    pictures, people, truth = _people()
    plate = Plate.of(pictures, people)
    with_plate = [plate.matte(p, q) for p, q in zip(pictures, people, strict=True)]
    without = [soft_matte(p, q) for p, q in zip(pictures, people, strict=True)]
    assert _off(with_plate, truth) < 0.5 * _off(without, truth)
    hair, stained = (_hair_off(mattes, truth) for mattes in (with_plate, without))
    assert hair < 0.8 * stained  # hair keeps its own color


def test_what_has_the_background_s_color_within_the_person_is_no_hole():
    pictures, people, _ = _people(spot=True)
    plate = Plate.of(pictures, people)
    y, x = np.mgrid[:_SIZE, :_SIZE] / _SIZE
    inside = np.hypot(x - 0.5, y - 0.55) < 0.05
    assert plate.matte(pictures[0], people[0]).alpha[inside].min() == 1


def test_where_no_picture_shows_the_background_it_is_a_matte_as_ever():
    pictures, people, _ = _people()
    plate = Plate.of(pictures, [np.ones_like(p) for p in people])
    found, usual = plate.matte(pictures[0], people[0]), soft_matte(pictures[0], people[0])
    np.testing.assert_array_equal(found.alpha, usual.alpha)
    np.testing.assert_array_equal(found.foreground, usual.foreground)


def test_a_background_that_moves_is_not_believed():
    pictures, people, truth = _people(background_moves=True)
    plate = Plate.of(pictures, people)
    assert np.median(plate.doubt[:10]) > 0.05
    mattes = [plate.matte(p, q) for p, q in zip(pictures, people, strict=True)]
    assert _off(mattes, truth) < 1.1 * _off([soft_matte(p, q) for p, q in zip(pictures, people, strict=True)], truth)


@pytest.mark.parametrize("size", [(3, 2), (40, 9)])
def test_tiny_pictures_are_cut_out(size):
    picture = Image.new("RGB", size, (90, 100, 110))
    person = np.zeros((size[1], size[0]))
    matte = Plate.of([picture, picture], [person, person]).matte(picture, person)
    assert matte.alpha.shape == (size[1], size[0]) and np.isfinite(matte.foreground).all()
