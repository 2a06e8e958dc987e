"""Rates: a grid that holds images until their place is past, a ceiling that thins them out evenly."""

from __future__ import annotations

import numpy as np
import pytest

from app.output.pacer import Ceiling, Pacer


def image(k: int) -> np.ndarray:
    return np.full((1, 1, 4), k, np.uint8)


def test_every_place_is_filled_and_the_latest_wins() -> None:
    pacer, out = Pacer(10.0), []
    for k, time_s in enumerate([0.0, 0.02, 0.1, 0.31]):
        pacer.push(image(k), time_s, lambda shown, at_s: out.append((int(shown[0, 0, 0]), round(at_s, 3))))
    pacer.finish(lambda shown, at_s: out.append((int(shown[0, 0, 0]), round(at_s, 3))))
    assert out == [(1, 0.0), (2, 0.1), (2, 0.2), (3, 0.3)]


@pytest.mark.parametrize("rate", [29.0, 40.0, 60.0, 144.0])
def test_a_ceiling_holds_on_average_and_leaves_slower_streams_alone(rate: float) -> None:
    ceiling = Ceiling(30.0)
    times = np.arange(0, 20, 1 / rate) + np.random.default_rng(2).uniform(0, 0.2 / rate, int(20 * rate))
    admitted = np.array([t for t in times if ceiling.admits(float(t))])
    assert len(admitted) <= 20 * min(rate, 30) + 1
    assert len(admitted) > 20 * min(rate, 30) * 0.93
    assert np.diff(admitted).max() < 1 / 30 + 2.5 / rate


def test_a_gap_is_not_made_up_for() -> None:
    ceiling = Ceiling(10.0)
    times = [0.0, 5.0, 5.01, 5.02, 5.1, 5.11]
    assert [ceiling.admits(t) for t in times] == [True, True, True, False, True, False]
