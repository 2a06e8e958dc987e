from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animation.performance.keyframes import CHANNELS, EASINGS, Curve, Key, Overlay
from avatar.errors import UserError
from avatar.flame.arkit import NAMES


def curve(*keys: tuple, channel: str = "jawOpen", **options: object) -> Curve:
    return Curve(channel, tuple(Key(*key) for key in keys), **options)


@pytest.mark.parametrize("easing", EASINGS)
def test_a_curve_goes_through_its_keys_and_stays_between_them(easing):
    c = curve((1.0, 0.2, easing), (2.0, 0.8, easing), (3.0, 0.4))
    assert [c.at(t)[0] for t in (1.0, 2.0, 3.0)] == pytest.approx([0.2, 0.8, 0.4])
    values = [c.at(t)[0] for t in np.linspace(1, 2, 50)]
    assert np.all(np.diff(values) >= -1e-12) and min(values) >= 0.2 and max(values) <= 0.8 + 1e-12


def test_hold_holds_and_others_move():
    assert curve((0, 0.0, "hold"), (1, 1.0)).at(0.99)[0] == 0.0
    assert all(curve((0, 0.0, e), (1, 1.0)).at(0.5)[0] > 0.2 for e in EASINGS if e != "hold")


@given(st.floats(0, 10), st.floats(0.05, 2))
def test_a_curve_comes_and_goes_over_its_blend(time_s, blend_s):
    c = curve((4.0, 0.5), (6.0, 0.5), blend_s=blend_s)
    value, presence = c.at(time_s)
    assert value == 0.5 and 0 <= presence <= 1
    if 4 <= time_s <= 6:
        assert presence == 1
    elif time_s <= 4 - blend_s or time_s >= 6 + blend_s:
        assert presence == 0


def test_keys_may_be_written_in_any_order():
    assert curve((2, 1.0), (1, 0.0)) == curve((1, 0.0), (2, 1.0))


def test_curves_take_a_channel_s_place_or_are_added_to_it():
    weights, head = np.full(52, 0.3, np.float32), np.radians([1.0, 2.0, 3.0])
    curves = [
        curve((0, 0.9), (1, 0.9), channel="browInnerUp"),
        curve((0, 0.2), (1, 0.2), channel="jawOpen", mode="add"),
        curve((0, -10.0), (1, -10.0), channel="headYaw"),
        curve((0, 4.0), (1, 4.0), channel="headPitch", mode="add"),
    ]
    Overlay(curves).apply(0.5, weights, head)
    assert weights[NAMES.index("browInnerUp")] == pytest.approx(0.9)
    assert weights[NAMES.index("jawOpen")] == pytest.approx(0.5)
    assert np.degrees(head) == pytest.approx([5.0, -10.0, 3.0])
    untouched = np.full(52, 0.3, np.float32)
    Overlay(curves).apply(3.0, untouched, head)
    assert np.all(untouched == np.float32(0.3))


def test_every_channel_can_be_keyed():
    for channel in CHANNELS:
        weights, head = np.zeros(52, np.float32), np.zeros(3)
        Overlay([curve((0, 1.0), channel=channel)]).apply(0.0, weights, head)
        assert (weights > 0).sum() + (head != 0).sum() == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: curve((0, 0.5), channel="jawopen"), "no such channel"),
        (lambda: curve((0, 1.5)), "expected 0..1, got 1.5"),
        (lambda: curve((0, math.nan)), "expected 0..1"),
        (lambda: curve((-1, 0.5)), "0 or more seconds"),
        (lambda: curve((0, 0.5, "bouncy")), "easing 'bouncy': expected one of smooth"),
        (lambda: curve((0, 0.5), mode="multiply"), "expected replace or add"),
        (lambda: curve((0, 0.5), blend_s=-1.0), "blend_s"),
        (lambda: curve((0, 90.0), channel="headYaw"), "expected -60..60"),
        (lambda: Curve("jawOpen", ()), "no keys"),
    ],
)
def test_what_cannot_be_played_is_told(make, message):
    with pytest.raises(UserError, match=message):
        make()
