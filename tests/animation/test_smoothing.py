from __future__ import annotations

import numpy as np
import pytest

from animation.smoothing import Envelope, OneEuro, SlowNoise, Spring, ease

RATE = 50.0


def test_ease_goes_from_zero_to_one_and_rests_at_both_ends():
    t = np.linspace(-0.5, 1.5, 401)
    y = np.array([ease(v) for v in t])
    assert y[0] == 0 and y[-1] == 1
    assert np.all(np.diff(y) >= 0)
    assert ease(0.5) == pytest.approx(0.5)
    assert ease(1e-3) < 1e-7 and 1 - ease(1 - 1e-3) < 1e-7


def test_one_euro_keeps_a_constant():
    smooth = OneEuro(RATE)
    for _ in range(5):
        assert np.array_equal(smooth.feed(np.full(3, 0.3, np.float32)), np.full(3, 0.3, np.float32))


def test_one_euro_calms_jitter_but_follows_a_jump():
    rng = np.random.default_rng(0)
    smooth = OneEuro(RATE, cutoff_hz=3.0)
    noise = rng.normal(0, 0.01, (500, 1)).astype(np.float32)
    out = np.array([smooth.feed(row)[0] for row in noise])
    assert np.abs(np.diff(out)).mean() < 0.5 * np.abs(np.diff(noise[:, 0])).mean()
    smooth.reset()
    smooth.feed(np.zeros(1))
    course = [float(smooth.feed(np.ones(1))[0]) for _ in range(4)]
    assert course[1] > 0.8, "a jump must be nearly through within 40 ms"


def test_reset_forgets():
    smooth = OneEuro(RATE)
    first = [smooth.feed(np.array([v], np.float32))[0] for v in (0.1, 0.9, 0.4)]
    smooth.reset()
    assert [smooth.feed(np.array([v], np.float32))[0] for v in (0.1, 0.9, 0.4)] == first


def test_spring_reaches_its_target_without_overshoot():
    spring = Spring(1, RATE, settle_s=0.4)
    course = np.array([spring.feed(np.ones(1))[0] for _ in range(100)])
    assert np.all(np.diff(course) >= -1e-12)
    assert course.max() <= 1 + 1e-9
    assert course[int(0.4 * RATE)] == pytest.approx(0.95, abs=0.02)


def test_spring_does_not_depend_on_the_rate():
    slow, fast = Spring(1, 50.0, 0.5), Spring(1, 200.0, 0.5)
    for _ in range(20):
        a = slow.feed(np.ones(1))[0]
        for _ in range(4):
            b = fast.feed(np.ones(1))[0]
        assert a == pytest.approx(b, abs=1e-9)


def test_envelope_rises_and_falls_at_its_own_speeds():
    envelope = Envelope(RATE, attack_s=0.02, release_s=0.5)
    for _ in range(5):
        envelope.feed(1.0)
    assert envelope.level > 0.98
    for _ in range(5):
        envelope.feed(0.0)
    assert envelope.level > 0.7


def test_slow_noise_has_unit_variance_and_is_smooth():
    noise = SlowNoise(np.random.default_rng(3), 40, 0.05, 0.4)
    values = np.stack([noise.at(t) for t in np.arange(0, 400, 0.1)])
    assert values.std() == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.diff(values, axis=0)).max() < 0.6
