"""Pace, level of detail and delay: what adapts, adapts the right way and then holds still."""

from __future__ import annotations

import numpy as np
import pytest

from app.live.detail import DetailControl
from app.live.inference import DelayControl
from app.live.rendering import Rendering


def run(
    control: DetailControl, cost_ms: float, base_ms: float, most: int, images: int, seed: int = 0, least: int = 36_000
) -> list[int]:
    """Draw: base + cost per thousand Gaussians, with 10 % of noise and a hiccup now and then."""
    rng = np.random.default_rng(seed)
    counts = []
    for k in range(images):
        ms = (base_ms + cost_ms * min(control.count, most) / 1000) * rng.uniform(0.9, 1.1)
        control.observe(ms * (4 if k % 97 == 0 else 1), least, most)
        counts.append(control.count)
    return counts


@pytest.mark.parametrize("cost_ms", [0.15, 0.22, 0.3])
def test_detail_settles_within_the_budget_and_uses_it(cost_ms: float) -> None:
    control = DetailControl(budget_ms=17.0)
    counts = run(control, cost_ms, 3.0, 120_000, 1500)
    final = np.array(counts[-500:])
    spent = 3.0 + cost_ms * final / 1000
    ideal = (17.0 - 3.0) / cost_ms * 1000
    if 36_000 < ideal < 120_000:
        assert np.median(spent) < 17.0 * 1.1
        assert np.median(final) > 0.7 * ideal
    assert final.max() < 1.6 * final.min()
    assert len(set(counts[-200:])) < 20


def test_a_machine_that_can_draw_all_draws_all_soon_whatever_comes_late() -> None:
    """40,000 Gaussians at 62 images a second by themselves; in use the models take a core now and then."""
    rng = np.random.default_rng(2)
    control = DetailControl(Rendering.BUDGET_MS)
    counts = []
    for k in range(600):
        ms = (5.0 + 11.0 * min(control.count, 40_000) / 40_000) * rng.uniform(0.95, 1.05)
        ms *= 1.25 if rng.random() < 0.25 else 1.0
        ms *= 4 if k % 97 == 0 else 1
        ms *= 3 if k < 20 else 1  # while the window opens
        control.observe(ms, 12_000, 40_000)
        counts.append(control.count)
    assert np.mean(np.array(counts[200:]) == 40_000) > 0.8 and min(counts[200:]) > 36_000


@pytest.mark.parametrize("least", [12_000, 36_000])
def test_detail_falls_fast_when_the_machine_gets_busy_and_never_below_the_least(least: int) -> None:
    control = DetailControl(budget_ms=17.0)
    run(control, 0.1, 2.0, 120_000, 800)
    assert control.count > 80_000
    counts = run(control, 0.35, 2.0, 120_000, 120)
    assert 2.0 + 0.35 * counts[-1] / 1000 < 17.0 * 1.3
    run(control, 5.0, 2.0, 120_000, 300, least=least)
    assert control.count == least


def test_an_avatar_that_needs_more_gets_more_at_once() -> None:
    control = DetailControl(budget_ms=17.0)
    run(control, 5.0, 2.0, 45_000, 300, least=12_000)
    assert control.count == 12_000
    run(control, 5.0, 2.0, 120_000, 1)
    assert control.count == 36_000


def test_a_small_avatar_is_drawn_whole() -> None:
    control = DetailControl(budget_ms=17.0)
    run(control, 0.01, 0.1, 8_000, 100)
    assert control.count == 8_000
    run(control, 0.01, 0.1, 60_000, 400)
    assert control.count == 60_000


def test_delay_follows_lateness_up_at_once_and_down_slowly() -> None:
    control = DelayControl(start_s=0.5)
    for _ in range(30):
        control.observe(0.08)
    assert control.delay_s == pytest.approx(0.084, abs=0.002)
    for _ in range(60):
        control.observe(0.15)
    assert control.delay_s > 0.14
    high = control.delay_s
    for _ in range(200):
        control.observe(0.08)
    assert high - 0.06 < control.delay_s < high
    for _ in range(800):
        control.observe(0.08)
    assert control.delay_s == pytest.approx(0.084, abs=0.002)


def test_delay_is_constant_under_jitter() -> None:
    rng = np.random.default_rng(1)
    control = DelayControl()
    delays = []
    for k in range(3000):
        control.observe(0.08 + rng.uniform(0, 0.01))
        if k > 300:
            delays.append(control.delay_s)
    assert np.ptp(delays) < 0.003
