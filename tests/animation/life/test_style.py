"""A personal style is what was measured, and does what it says to the driver's settings."""

from __future__ import annotations

import numpy as np
import pytest

from animation.life.style import PersonalStyle
from animation.settings import DriverSettings
from avatar.errors import UserError
from avatar.flame.arkit import indices

RATE_HZ = 30


def talk(seconds: float, jaw: float, blinks: int, turn_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face that opens and shuts its mouth, blinks evenly and turns to and fro."""
    times = np.arange(0, seconds, 1 / RATE_HZ)
    weights = np.zeros((len(times), 52), np.float32)
    weights[:, indices("jawOpen")[0]] = jaw * np.sin(2 * np.pi * 1.3 * times) ** 2
    for k in range(blinks):
        at = (k + 0.5) * seconds / blinks
        weights[np.abs(times - at) < 0.08, indices("eyeBlinkLeft")[0]] = 0.9
        weights[np.abs(times - at) < 0.08, indices("eyeBlinkRight")[0]] = 0.9
    neck = np.zeros((len(times), 3))
    neck[:, 1] = np.radians(turn_deg) * np.sin(2 * np.pi * 0.2 * times)
    return times, weights, neck


def test_who_moves_more_is_measured_as_more() -> None:
    calm, lively = (PersonalStyle.measured(*talk(30, *how)) for how in ((0.2, 3, 2.0), (0.4, 20, 6.0)))
    assert lively.mouth == pytest.approx(2 * calm.mouth, rel=0.05)
    assert lively.head == pytest.approx(3 * calm.head, rel=0.1)
    assert lively.blinks > 1.5 * calm.blinks
    assert PersonalStyle.of({"style": lively.stored}).mouth == pytest.approx(lively.mouth, abs=1e-3)


def test_a_style_scales_settings_as_far_as_it_is_asked_to() -> None:
    style = PersonalStyle(mouth=1.4, blinks=2.0, head=0.5)
    fully, half, none = (style.applied(DriverSettings(personal=share)) for share in (1.0, 0.5, 0.0))
    assert (fully.mouth_opening, fully.blink_rate, fully.liveliness) == pytest.approx((1.4, 2.0, 0.5))
    assert 1 < half.mouth_opening < 1.4 and 0.5 < half.liveliness < 1
    assert none == DriverSettings(personal=0.0)
    assert PersonalStyle().applied(DriverSettings()) == DriverSettings()
    assert style.applied(DriverSettings(mouth_opening=2.0)).mouth_opening == 2.0


def test_videos_that_tell_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="too short"):
        PersonalStyle.measured(*talk(4, 0.3, 1, 2.0))
    with pytest.raises(UserError, match="hardly moves"):
        PersonalStyle.measured(*talk(12, 0.0, 3, 2.0))


@pytest.mark.parametrize("stored", [None, 3, {"mouth": "wide"}, {"mouth": float("nan")}, {"head": [1]}])
def test_damaged_metadata_are_nobodys_style(stored: object) -> None:
    assert PersonalStyle.of({"style": stored}) == PersonalStyle()
