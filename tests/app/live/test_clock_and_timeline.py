"""Time: the clock follows the device, the timeline interpolates and rests."""

from __future__ import annotations

import numpy as np
import pytest

from app.live.clock import StreamClock
from app.live.timeline import PoseTimeline
from avatar.flame.params import FlameParams


def pose(time_s: float, jaw: float = 0.0) -> FlameParams:
    return FlameParams.neutral(2, 3, time_s).replace(jaw_pose=np.array([jaw, 0, 0], np.float32))


def test_clock_is_its_own_inverse() -> None:
    clock = StreamClock()
    clock.anchor(2.0, 100.0)
    assert clock.stream_time(100.5) == pytest.approx(2.5)
    assert clock.wall_time(clock.stream_time(123.4)) == pytest.approx(123.4)


@pytest.mark.parametrize("drift", [-3e-4, 0.0, 3e-4])
def test_clock_follows_drift_through_jitter(drift: float) -> None:
    """Ten minutes of 10 ms blocks from a device that runs fast or slow, stamped with 5 ms of jitter."""
    rng = np.random.default_rng(0)
    clock = StreamClock()
    clock.anchor(0.0, 50.0)
    for k in range(60_000):
        stream_s = k * 0.01
        clock.follow(stream_s, 50.0 + stream_s * (1 + drift) + rng.uniform(-0.005, 0.005))
    assert abs(clock.error(600.0, 50.0 + 600.0 * (1 + drift))) < 0.004


def test_one_wild_stamp_moves_the_clock_by_half_a_millisecond_at_most() -> None:
    clock = StreamClock()
    clock.anchor(0.0, 0.0)
    clock.follow(1.0, 31.0)
    assert clock.error(1.0, 1.0) == pytest.approx(-0.0005)


def test_sampling_interpolates() -> None:
    timeline = PoseTimeline()
    timeline.append([pose(0.01, 0.1), pose(0.03, 0.3), pose(0.05, 0.2)])
    assert timeline.newest_s == 0.05
    for t, jaw in ((0.01, 0.1), (0.02, 0.2), (0.03, 0.3), (0.04, 0.25), (0.05, 0.2)):
        sampled = timeline.sample(t)
        assert sampled is not None
        assert sampled.jaw_pose[0] == pytest.approx(jaw, abs=1e-6)
        assert sampled.stream_time_s == pytest.approx(t)


def test_before_the_first_and_with_nothing() -> None:
    timeline = PoseTimeline()
    assert timeline.sample(1.0) is None
    timeline.append([pose(2.0, 0.4)])
    early = timeline.sample(1.0)
    assert early is not None
    assert early.jaw_pose[0] == pytest.approx(0.4)


def test_starved_it_holds_then_eases_to_rest_and_comes_back_smoothly() -> None:
    timeline = PoseTimeline()
    timeline.append([pose(k * 0.02, 0.5) for k in range(50)])
    shown = []
    for k in range(200):
        if k >= 100:
            timeline.append([pose(1.0 + (k - 50) * 0.02, 0.5)])
        sampled = timeline.sample(1.0 + (k - 50) * 0.02 if k >= 50 else k * 0.02)
        assert sampled is not None
        shown.append(float(sampled.jaw_pose[0]))
    assert shown[49] == pytest.approx(0.5)
    assert shown[55] == pytest.approx(0.5)  # held
    assert shown[95] == pytest.approx(0.0, abs=1e-6)  # at rest
    assert shown[199] == pytest.approx(0.5)
    assert np.abs(np.diff(shown)).max() < 0.06


def test_starved_it_eases_to_the_face_that_it_is_given() -> None:
    timeline = PoseTimeline()
    timeline.append([pose(k * 0.02, 0.5) for k in range(50)])
    timeline.rest = pose(0.0, 0.2)
    shown = [timeline.sample(k * 0.02) for k in range(100)]
    assert shown[-1] is not None and shown[-1].jaw_pose[0] == pytest.approx(0.2)
    assert shown[-1].stream_time_s == pytest.approx(99 * 0.02)


def test_poses_from_a_reset_driver_replace_what_they_overlap() -> None:
    timeline = PoseTimeline()
    timeline.append([pose(k * 0.02, 0.1) for k in range(10)])
    timeline.append([pose(0.1, 0.7), pose(0.12, 0.7)])
    assert timeline.newest_s == pytest.approx(0.12)
    sampled = timeline.sample(0.11)
    assert sampled is not None
    assert sampled.jaw_pose[0] == pytest.approx(0.7)


def test_capacity_bounds_memory() -> None:
    timeline = PoseTimeline(capacity=20)
    timeline.append([pose(k * 0.02) for k in range(1000)])
    assert len(timeline._poses) == 20
