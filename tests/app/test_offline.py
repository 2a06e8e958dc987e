"""Sampling of poses at the video's rate, and the parsing of options."""

from __future__ import annotations

import numpy as np
import pytest

from app.offline import parse_size, sampled
from avatar import FlameParams, UserError


def poses(seconds: float, rate: float = 50.0) -> list[FlameParams]:
    """A jaw that opens by one radian a second; pose k describes the time (k + 0.5) / rate."""
    times = (np.arange(round(seconds * rate)) + 0.5) / rate
    return [FlameParams.neutral(0, 0, t).replace(jaw_pose=[t, 0, 0]) for t in times]


@pytest.mark.parametrize("fps", [24, 25, 29.97, 30, 50, 60, 120])
def test_each_image_shows_its_own_time(fps: float) -> None:
    images = list(sampled(poses(2.0), fps))
    assert len(images) == pytest.approx(2.0 * fps, abs=1 + fps / 50)
    for k, image in enumerate(images):
        assert image.stream_time_s == pytest.approx(k / fps)
        assert image.jaw_pose[0] == pytest.approx(max(k / fps, 0.01), abs=1e-5)  # held before the first pose


def test_no_poses_no_images() -> None:
    assert list(sampled([], 30)) == []


def test_sizes() -> None:
    assert parse_size("512") == (512, 512)
    assert parse_size("1280x720") == (1280, 720)
    assert parse_size("333X101") == (334, 102)
    for bad in ("", "big", "0", "10", "5000", "1x2x3", "-512", "512x", "1e3"):
        with pytest.raises(UserError, match="size"):
            parse_size(bad)
