from __future__ import annotations

import numpy as np
import pytest

from animation.life.idle import BlinkMotion, GazeMotion, IdleMotion
from animation.speech.prosody import Prosody

RATE = 50.0
SILENT = Prosody()


def times(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) + 0.5) / RATE


def idle_course(seed: int, seconds: float, **options: object) -> list:
    idle = IdleMotion(seed, RATE)
    return [idle.step(t, SILENT, **options) for t in times(seconds)]


def blink_runs(course: np.ndarray) -> list[np.ndarray]:
    """The stretches during which the lids are away from open."""
    moving = course > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], moving.astype(int), [0]])))
    return [course[a:b] for a, b in edges.reshape(-1, 2)]


@pytest.fixture(scope="module")
def blinks():
    motion = BlinkMotion(np.random.default_rng(0))
    return np.array([motion.step(t, SILENT) for t in times(1200)])


def test_blinks_come_about_seventeen_times_a_minute(blinks):
    assert 13 < len(blink_runs(blinks)) / 20 < 21


def test_every_blink_closes_fully_fast_and_opens_slower(blinks):
    for run in blink_runs(blinks)[:-1]:  # the last one may be cut off
        assert run.max() == 1.0
        shut = np.flatnonzero(run == 1.0)
        closing, opening = shut[0], len(run) - 1 - shut[-1]
        assert closing <= 7 and len(run) <= 22
        assert opening > closing


def test_intervals_are_skewed(blinks):
    starts = np.flatnonzero((blinks[1:] > 0) & (blinks[:-1] == 0)) / RATE
    intervals = np.diff(starts)
    assert intervals.mean() > np.median(intervals) * 1.05
    assert intervals.min() < 0.8, "a pair now and then"
    assert np.percentile(intervals, 95) > 6


def test_more_blinks_where_phrases_end():
    motion = BlinkMotion(np.random.default_rng(1))
    end = Prosody(phrase_end=True)
    after = 0
    for k, t in enumerate(times(600)):
        shut = motion.step(t, end if k % 200 == 0 else SILENT)
        after += k % 200 == 5 and shut > 0
    assert after / 150 > 0.4


def test_the_rate_of_blinks_can_be_scaled():
    counts = []
    for rate in (0.5, 2.0):
        motion = BlinkMotion(np.random.default_rng(2))
        counts.append(len(blink_runs(np.array([motion.step(t, SILENT, rate) for t in times(600)]))))
    assert counts[1] > 2 * counts[0]


def test_saccades_are_fast_small_and_mostly_near_the_camera():
    motion = GazeMotion(np.random.default_rng(0))
    gaze = np.degrees(np.stack([motion.step(t, SILENT) for t in times(600)]))
    speed = np.linalg.norm(np.diff(gaze, axis=0), axis=1) * RATE
    assert np.mean(speed > 0) < 0.2, "the eyes rest between saccades"
    assert np.mean(np.linalg.norm(gaze, axis=1) < 2.5) > 0.75
    assert np.abs(gaze).max() < 15
    # Main sequence: no saccade of these sizes takes longer than 60 ms, three poses.
    moving = np.concatenate([[0], (speed > 0).astype(int), [0]])
    runs = np.diff(np.flatnonzero(np.diff(moving)).reshape(-1, 2), axis=1)
    assert runs.max() <= 4


def test_eyes_hold_their_aim_while_the_head_turns():
    course = idle_course(3, 60)
    head = np.stack([p.head for p in course])
    eyes = np.stack([p.gaze for p in course])
    aim = eyes + np.stack([-head[:, 0], head[:, 1]], 1)
    still = np.linalg.norm(np.diff(aim, axis=0), axis=1) < np.radians(0.05)
    assert still.mean() > 0.75
    assert np.corrcoef(eyes[:, 1], head[:, 1])[0, 1] < -0.3


def test_head_moves_little_and_smoothly():
    head = np.degrees(np.stack([p.head for p in idle_course(0, 120)]))
    assert 0.3 < head.std(0).max() < 3.0
    assert np.abs(head).max() < 9
    assert np.abs(np.diff(head, n=2, axis=0)).max() * RATE**2 < 120, "degrees / s^2"


def test_the_voice_moves_the_head():
    speaking = IdleMotion(0, RATE)
    prosody = [Prosody(1.0, 0.5 + 0.4 * np.sin(k / 5), accent=0.8 * (k % 40 == 0)) for k in range(3000)]
    talk = np.stack([speaking.step(k / RATE, p).head for k, p in enumerate(prosody)])
    rest = np.stack([p.head for p in idle_course(0, 60)])
    assert np.abs(np.diff(talk, axis=0)).mean() > 1.5 * np.abs(np.diff(rest, axis=0)).mean()


def test_switches_hide_one_thing_and_leave_the_others():
    full = idle_course(4, 20)
    for name in ("blinks", "gaze", "head"):
        part = idle_course(4, 20, **{name: False})
        assert all(p.blink == 0 for p in part) == (name == "blinks")
        assert all(not p.head.any() for p in part) == (name == "head")
        if name != "blinks":
            assert [p.blink for p in part] == [p.blink for p in full]
        if name != "head":
            assert all(np.array_equal(p.head, q.head) for p, q in zip(part, full, strict=True))


def test_seeds_reproduce():
    a, b, c = (np.stack([np.r_[p.blink, p.gaze, p.head, p.lift_m] for p in idle_course(s, 30)]) for s in (7, 7, 8))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
