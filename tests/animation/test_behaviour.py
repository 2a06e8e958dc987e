from __future__ import annotations

import numpy as np
import pytest

from animation.behaviour import Behaviour, BehaviourPose
from animation.performance.document import PARTS, Variation
from animation.settings import DriverSettings
from animation.speech.prosody import Prosody
from avatar.flame.arkit import NAMES, indices

RATE = 50.0
VOICE = [Prosody(1.0, 0.5, accent=0.8 if k % 31 == 5 else 0.0) for k in range(400)]


def course(seed: int = 1, variations: tuple[Variation, ...] = (), seconds: float = 8.0) -> list[BehaviourPose]:
    settings = DriverSettings(seed=seed)
    behaviour = Behaviour(RATE, settings, variations)
    behaviour.feel("happy", 0.8, 0.0)
    return [behaviour.step((k + 0.5) / RATE, VOICE[k], settings) for k in range(int(seconds * RATE))]


def same(a: BehaviourPose, b: BehaviourPose, parts: tuple[str, ...] = PARTS) -> bool:
    equal = {
        "face": np.array_equal(a.weights, b.weights),
        "eyes": a.blink == b.blink and np.array_equal(a.gaze - b.gaze, np.zeros(2)),
        "head": np.array_equal(a.head, b.head) and a.lift_m == b.lift_m,
    }
    return all(equal[part] for part in parts)


def test_a_variation_changes_nothing_outside_its_time():
    plain, varied = course(), course(variations=(Variation(3.0, 5.0, 9),))
    for k, (a, b) in enumerate(zip(plain, varied, strict=True)):
        if not 2.8 <= k / RATE <= 5.2:
            assert same(a, b)
    assert not same(plain[200], varied[200])


def test_inside_it_is_the_other_seed():
    other, varied = course(9), course(variations=(Variation(3.0, 5.0, 9),))
    assert all(same(other[k], varied[k]) for k in range(161, 239))


@pytest.mark.parametrize("part", PARTS)
def test_it_changes_its_parts_only(part):
    plain, varied = course(), course(variations=(Variation(2.0, 6.0, 4, (part,)),))
    others = tuple(p for p in PARTS if p != part)
    assert all(same(a, b, others) for a, b in zip(plain, varied, strict=True))
    assert not all(same(a, b, (part,)) for a, b in zip(plain, varied, strict=True))


def test_it_comes_and_goes_without_a_jump():
    varied = course(variations=(Variation(3.0, 5.0, 9), Variation(5.5, 7.0, 2, ("head",))))
    head = np.degrees([p.head for p in varied])
    weights = np.stack([p.weights for p in varied])
    assert np.abs(np.diff(head, axis=0)).max() < 1.2
    assert np.abs(np.diff(weights, axis=0)).max() < 0.12


def test_seeds_differ_in_everything_but_the_lips():
    a, b = (course(seed, seconds=8.0) for seed in (1, 2))
    mouth = [k for k, name in enumerate(NAMES) if name.startswith(("mouth", "jaw"))]
    brows = indices("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    wa, wb = (np.stack([p.weights for p in poses]) for poses in (a, b))
    ha, hb = (np.stack([p.head for p in poses]) for poses in (a, b))
    assert np.array_equal(wa[:, mouth], wb[:, mouth])
    for one, two in ((wa[:, brows], wb[:, brows]), (ha, hb)):
        assert (one - two).var(0).sum() > 0.3 * (one.var(0) + two.var(0)).sum()
