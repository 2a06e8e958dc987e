from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from animation.expression.prototypes import EMOTIONS, FEELINGS, MANNERS
from animation.life.blinks import BlinkMotion
from animation.life.gaze import GazeMotion
from animation.life.idle import IdleMotion
from animation.life.manner import Manner
from animation.speech.prosody import Prosody

RATE = 50.0
SILENT, SPEAKING = Prosody(), Prosody(activity=1.0, energy=0.5)
CALM = Manner()


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
    return np.array([motion.step(t, SILENT, CALM) for t in times(1200)])


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
        shut = motion.step(t, end if k % 200 == 0 else SILENT, CALM)
        after += k % 200 == 5 and shut > 0
    assert after / 150 > 0.4


def test_the_rate_of_blinks_can_be_scaled():
    counts = []
    for rate in (0.5, 2.0):
        motion = BlinkMotion(np.random.default_rng(2))
        counts.append(len(blink_runs(np.array([motion.step(t, SILENT, Manner(blink_rate=rate)) for t in times(600)]))))
    assert counts[1] > 2 * counts[0]


def test_saccades_are_fast_small_and_mostly_near_the_camera():
    motion = GazeMotion(np.random.default_rng(0))
    gaze = np.degrees(np.stack([motion.step(t, SPEAKING, CALM) for t in times(600)]))
    speed = np.linalg.norm(np.diff(gaze, axis=0), axis=1) * RATE
    assert np.mean(speed > 0) < 0.2, "the eyes rest between saccades"
    assert np.mean(np.linalg.norm(gaze, axis=1) < 2.5) > 0.75
    assert np.abs(gaze).max() < 15
    # Main sequence: no saccade of these sizes takes longer than 60 ms, three poses.
    moving = np.concatenate([[0], (speed > 0).astype(int), [0]])
    runs = np.diff(np.flatnonzero(np.diff(moving)).reshape(-1, 2), axis=1)
    assert runs.max() <= 4


def away_share(manner: Manner, prosody: Prosody = SPEAKING) -> float:
    motion = GazeMotion(np.random.default_rng(1))
    gaze = np.degrees(np.stack([motion.step(t, prosody, manner) for t in times(400)]))
    return float(np.mean(np.linalg.norm(gaze, axis=1) > 2.5))


def test_listeners_look_at_who_speaks_and_feelings_hold_or_avert_the_eyes():
    def manner(emotion: str) -> Manner:
        return MANNERS(np.eye(len(FEELINGS))[FEELINGS.index(emotion)])

    calm = away_share(CALM)
    assert away_share(CALM, SILENT) < 0.6 * calm
    assert away_share(manner("angry")) < 0.6 * calm < calm < 0.8 * away_share(manner("sad"))


def test_a_glance_comes_before_another_feeling():
    for seed in range(5):
        motion = GazeMotion(np.random.default_rng(seed))
        before = [motion.step(t, SILENT, CALM) for t in times(0.3)][-1]
        after = [motion.step(0.3 + t, SILENT, CALM, turning=k == 0) for k, t in enumerate(times(0.6))]
        distance = np.degrees(np.linalg.norm(np.stack(after) - before, axis=1))
        assert distance[:8].max() > 2.0 and distance[-1] < 2.5, "away at once, and back"


def test_manners_mix():
    mix = np.zeros(len(FEELINGS))
    assert MANNERS(mix) == CALM
    mix[FEELINGS.index("sad")] = 0.5
    half = MANNERS(mix)
    mix[FEELINGS.index("sad")] = 1.0
    full = MANNERS(mix)
    assert half.pitch_deg == pytest.approx(full.pitch_deg / 2) and half.blink_length == pytest.approx(
        (1 + full.blink_length) / 2
    )
    assert len({MANNERS(row) for row in np.eye(len(FEELINGS))[: len(EMOTIONS)]}) == len(EMOTIONS)


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


def test_there_is_life_from_the_start():
    """Faint: whoever opens the window sees neither a statue nor somebody who shakes the head."""
    starts = []
    for seed in range(40):
        course = idle_course(seed, 4.0)
        first = np.degrees(np.stack([p.head for p in course[: round(2 * RATE)]]))
        assert 0.2 < np.ptp(first, axis=0).max() < 4.0
        assert np.abs(np.diff(first, axis=0)).max() < 0.15  # it does not start with a jerk
        starts.append(next((k / RATE for k, p in enumerate(course) if p.blink > 0), 4.0))
    assert np.median(starts) < 2.0


def beats(prosody: list[Prosody], **options: float) -> np.ndarray:
    """What a voice's events add to the head, degrees: the same head without them is taken away."""
    with_them, without = IdleMotion(0, RATE), IdleMotion(0, RATE)
    moved = np.stack([with_them.step(t, p, **options).head for t, p in zip(times(60), prosody, strict=False)])
    still = np.stack([without.step(t, replace(p, accent=0.0)).head for t, p in zip(times(60), prosody, strict=False)])
    return np.degrees(moved - still)


def test_a_stress_makes_the_head_nod_at_once_and_the_nod_ends():
    nods = beats([Prosody(1.0, 0.5, accent=1.0 if k == 100 else 0.0) for k in range(200)])[:, 0]
    assert not nods[:100].any() and 0.8 < nods.max() < 4.0
    assert 3 <= nods.argmax() - 100 <= 6, "its lowest point comes within 120 ms"
    assert np.abs(nods[135:]).max() < 1e-9
    assert np.abs(np.diff(nods, n=2)).max() * RATE**2 < 1200, "degrees / s^2"


def test_liveliness_and_emphasis_are_the_size_of_nods():
    voice = [Prosody(1.0, 0.5, accent=1.0 if k == 100 else 0.0) for k in range(200)]
    small, usual, large = (beats(voice, emphasis=e)[:, 0].max() for e in (0.5, 1.0, 2.0))
    assert small == pytest.approx(usual / 2) and large == pytest.approx(2 * usual)
    assert np.degrees(np.ptp([p.head for p in idle_course(0, 30, liveliness=0.0)], axis=0)).max() < 0.5
    assert (
        np.ptp([p.head for p in idle_course(0, 30, liveliness=2.0)], axis=0).max()
        > 1.5 * np.ptp([p.head for p in idle_course(0, 30)], axis=0).max()
    )


def test_the_head_rises_with_the_pitch_and_tilts_on_questions():
    def last(prosody: Prosody) -> np.ndarray:
        idle = IdleMotion(0, RATE)
        return np.degrees([idle.step(t, prosody if t > 1 else SILENT).head for t in times(2)][-1])

    high, low = last(Prosody(pitch_st=4.0)), last(Prosody(pitch_st=-4.0))
    assert high[0] < low[0] - 1.5
    asked = IdleMotion(0, RATE)
    course = np.degrees([asked.step(t, Prosody(question=k == 10)).head for k, t in enumerate(times(1.5))])
    plain = np.degrees([p.head for p in idle_course(0, 1.5)])
    assert np.abs(course - plain)[:, 2].max() > 1.5


def test_listening_nods_to_another_voice():
    nods = 0
    for seed in range(8):
        heard, alone = IdleMotion(seed, RATE), IdleMotion(seed, RATE)
        for k, t in enumerate(times(2.0)):
            other = Prosody(phrase_end=k == 20)
            down = heard.step(t, SILENT, other=other).head[0] - alone.step(t, SILENT).head[0]
            nods += down > np.radians(0.7)
    assert nods > 8


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
