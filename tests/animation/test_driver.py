from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pytest

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS, EmotionCue, EmotionTrack
from animation.face import DrivenFace
from animation.life.lids import default_lids
from animation.performance.document import Performance
from animation.performance.keyframes import Curve, Key
from animation.speech.articulation import targets, trajectories
from animation.speech.lips import default_lips
from animation.speech.phonemes import BILABIALS, Segment
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.params import FlameParams
from avatar.heads import open_head

HOP = 320
SENTENCE = (
    "SIL", "SIL", "P", "IY", "P", "AH", "L", "M", "UW", "V", "B", "AA", "B", "S", "IH", "M", "P", "L", "AE",
    "SIL", "SIL",
)  # fmt: skip


@dataclass(frozen=True)
class Frames:
    articulation: np.ndarray
    closure: np.ndarray
    voice: np.ndarray
    loudness_db: np.ndarray


class Recital:
    """A speech model that knows its text: says the same whatever it hears, when it has heard enough."""

    hop_s = 0.02
    lookahead_ms = 80.0

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.reset()

    def reset(self) -> None:
        self._heard = self._given = 0

    def feed(self, samples: np.ndarray) -> Frames:
        self._heard += len(samples)
        return self._up_to((self._heard - 4 * HOP) // HOP)

    def finish(self) -> Frames:
        return self._up_to(self._heard // HOP)

    def _up_to(self, end: int) -> Frames:
        part = slice(self._given, max(self._given, min(end, len(self._frames.voice))))
        self._given = part.stop
        f = self._frames
        return Frames(f.articulation[part], f.closure[part], f.voice[part], f.loudness_db[part])


def sentence() -> tuple[Frames, list[Segment]]:
    segments, t = [], 0.0
    for phoneme in SENTENCE:
        length = 0.5 if phoneme == "SIL" else 0.09
        segments.append(Segment(phoneme, t, t + length))
        t += length
    n = int(t * 50)
    centre = (np.arange(n) + 0.5) * 0.02

    def inside(names: Collection[str]) -> np.ndarray:
        return np.any([[s.start_s <= c < s.end_s and s.phoneme in names for s in segments] for c in centre], 1)

    voice = (~inside({"SIL"})).astype(np.float32)
    loudness = np.where(voice > 0, -24 + 5 * np.sin(centre * 20), -75).astype(np.float32)
    return Frames(
        trajectories(segments, n).astype(np.float32), inside(BILABIALS).astype(np.float32), voice, loudness
    ), segments


FRAMES, SEGMENTS = sentence()
N = len(FRAMES.voice)


@pytest.fixture(scope="module")
def arkit():
    return open_head()[1]


def silence(n: int) -> Frames:
    rng = np.random.default_rng(0)
    art = targets("SIL") + rng.normal(0, 0.01, (n, 7))
    return Frames(art.astype(np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32), np.full(n, -70, np.float32))


def generic(arkit: ArkitMap) -> DrivenFace:
    return DrivenFace(arkit, default_lips(), default_lids())


def drive(
    arkit: ArkitMap,
    settings: DriverSettings | None = None,
    chunk: int | None = None,
    frames: Frames = FRAMES,
    **options: object,
) -> list[FlameParams]:
    driver = AvatarDriver(generic(arkit), settings, Recital(frames), **options)
    samples = np.zeros(len(frames.voice) * HOP, np.float32)
    size = chunk or len(samples)
    poses = [p for i in range(0, len(samples), size) for p in driver.feed(samples[i : i + size])]
    return poses + driver.finish()


def weights_of(poses: list[FlameParams]) -> np.ndarray:
    return np.stack([p.blendshape_weights for p in poses])


@pytest.mark.parametrize("chunk", (7, HOP, HOP + 1))
def test_streamed_equals_one_shot(arkit, chunk):
    settings = DriverSettings(emotion="happy", intensity=0.8, seed=3)
    whole = drive(arkit, settings)
    assert len(whole) == N
    assert drive(arkit, settings, chunk) == whole


def test_streamed_by_single_samples_equals_one_shot(arkit):
    short = Frames(*(getattr(FRAMES, f)[40:60] for f in ("articulation", "closure", "voice", "loudness_db")))
    assert drive(arkit, chunk=1, frames=short) == drive(arkit, frames=short)


def test_poses_are_stamped_with_the_middle_of_their_hop(arkit):
    assert [p.stream_time_s for p in drive(arkit)] == pytest.approx([(k + 0.5) * 0.02 for k in range(N)])


def test_poses_come_out_as_soon_as_the_look_ahead_allows(arkit):
    driver = AvatarDriver(generic(arkit), None, Recital(FRAMES))
    assert driver.lookahead_ms == 80.0 and driver.hop_s == 0.02
    assert len(driver.feed(np.zeros(4 * HOP, np.float32))) == 0
    assert len(driver.feed(np.zeros(HOP, np.float32))) == 1


@pytest.mark.parametrize("emotion", [*EMOTIONS, "laugh_hard", "agony", "furious", "astonished", "pout", "snarl"])
def test_lips_touch_on_every_p_b_m_under_every_emotion(arkit, emotion):
    poses = drive(arkit, DriverSettings(emotion=emotion, intensity=1.0))
    head, _ = open_head()
    upper, lower = (head.regions[f"{side}_lip_inner"] for side in ("upper", "lower"))
    upright = [p.replace(neck_pose=np.zeros(3), transl=np.zeros(3)) for p in poses]
    vertices = np.stack([head.vertices(p).numpy() for p in upright])
    gap_mm = 1e3 * (vertices[:, upper, 1] - vertices[:, lower, 1]).max(1)
    for segment in SEGMENTS:
        if segment.phoneme in BILABIALS:
            span = gap_mm[int(segment.start_s / 0.02) : int(np.ceil(segment.end_s / 0.02))]
            assert span.min() < 0.5
    vowel = SENTENCE.index("AA")
    assert gap_mm[int(SEGMENTS[vowel].start_s / 0.02) :][:5].max() > 4.0


def test_silence_is_a_closed_calm_mouth(arkit):
    weights = weights_of(drive(arkit, frames=silence(250)))
    assert default_lips().opening_mm(weights).mean() < 0.2
    mouth = [i for i, n in enumerate(NAMES) if n.startswith(("mouth", "jaw"))]
    assert np.abs(np.diff(weights[:, mouth], axis=0)).mean() < 0.002


def test_below_the_gate_the_mouth_rests(arkit):
    loud = replace(FRAMES, loudness_db=np.full(N, -50, np.float32))
    open_gate = default_lips().opening_mm(weights_of(drive(arkit, DriverSettings(gate_db=-60), frames=loud)))
    shut_gate = default_lips().opening_mm(weights_of(drive(arkit, DriverSettings(gate_db=-40), frames=loud)))
    assert open_gate.max() > 5 and shut_gate.max() < 0.3


def test_a_p_that_begins_a_word_silently_seals_a_smile(arkit):
    first = int(SEGMENTS[2].start_s / 0.02)
    loudness = FRAMES.loudness_db.copy()
    loudness[: first + 5] = -75
    samples = 0.1 * np.random.default_rng(0).normal(size=N * HOP).astype(np.float32)
    samples[: (first + 5) * HOP] = 0
    happy = DriverSettings(emotion="happy", intensity=1.0, blinks=False, gaze=False, head=False)
    driver = AvatarDriver(generic(arkit), happy, Recital(replace(FRAMES, loudness_db=loudness)))
    opening = default_lips().opening_mm(weights_of(driver.feed(samples) + driver.finish()))
    assert opening[first - 5] > 5
    assert opening[first : first + 4].min() < 0.3


@pytest.mark.parametrize("emotion", [*EMOTIONS, "startled", "pain", "sleepy", "suspicious"])
def test_blinks_close_the_lids_under_every_emotion(arkit, emotion):
    weights = weights_of(drive(arkit, DriverSettings(emotion=emotion, seed=1), frames=silence(250)))
    heights = default_lids().height_mm(weights)
    shut = default_lids().height_mm(np.eye(52, dtype=np.float32)[indices("eyeBlinkLeft", "eyeBlinkRight")].sum(0))
    assert np.all(heights.min(0) < shut + 0.15)
    assert np.all(heights.min(0) > shut - 0.6)


def test_weights_and_pose_say_the_same(arkit):
    for pose in drive(arkit, DriverSettings(emotion="afraid"))[::25]:
        assert np.allclose(arkit.weights(pose), pose.blendshape_weights, atol=2e-3)
        assert pose.blendshape_weights.min() >= 0 and pose.blendshape_weights.max() <= 1


def test_a_smile_leaves_the_irises_round(arkit):
    """Cheeks lift the lower lid; between lids that come too near to each other an iris is a bar."""
    still = DriverSettings(blinks=False, gaze=False)
    rest, smile = (
        default_lids().height_mm(weights_of(drive(arkit, replace(still, emotion=emotion), frames=silence(70)))[50:])
        for emotion in ("neutral", "happy")
    )
    assert (smile.min(0) > 0.65 * rest.mean(0)).all()


def test_reset_is_a_fresh_start(arkit):
    driver = AvatarDriver(generic(arkit), DriverSettings(emotion="sad", seed=5), Recital(FRAMES))
    samples = np.zeros(N * HOP, np.float32)
    first = driver.feed(samples) + driver.finish()
    driver.reset()
    assert driver.feed(samples) + driver.finish() == first


def test_seeds_differ_in_life_and_not_in_speech(arkit):
    a, b = (weights_of(drive(arkit, DriverSettings(seed=s))) for s in (1, 2))
    jaw = indices("jawOpen", "mouthPucker", "mouthClose")
    # A wandering brow is told apart from speech by the learned fusion, to a hair.
    assert np.allclose(a[:, jaw], b[:, jaw], atol=0.02) and not np.array_equal(a, b)


def test_emotion_can_be_set_live_and_eases_in(arkit):
    driver = AvatarDriver(generic(arkit), DriverSettings(), Recital(silence(200)))
    samples = np.zeros(100 * HOP, np.float32)
    driver.feed(samples)
    driver.set_emotion("angry", 0.9, 0.4)
    assert (driver.settings.emotion, driver.settings.intensity) == ("angry", 0.9)
    brow = weights_of(driver.feed(samples))[:, indices("browDownLeft")[0]]
    assert brow[2] < 0.2 < 0.5 < brow[40]
    assert np.abs(np.diff(brow)).max() < 0.12


def test_settings_can_be_replaced_live(arkit):
    driver = AvatarDriver(generic(arkit), DriverSettings(), Recital(silence(300)))
    samples = np.zeros(150 * HOP, np.float32)
    moving = driver.feed(samples)
    driver.settings = DriverSettings(head=False, blinks=False, gaze=False, calm=0.0)
    still = driver.feed(samples)
    assert any(p.neck_pose.any() for p in moving)
    assert not any(p.neck_pose.any() or p.transl.any() for p in still)
    blink = indices("eyeBlinkLeft")
    assert weights_of(moving)[:, blink].max() == pytest.approx(1.0, abs=0.2)
    assert not weights_of(still)[:, blink].any()


def test_a_track_sets_the_emotions(arkit):
    track = EmotionTrack([EmotionCue(0.0, "neutral"), EmotionCue(2.0, "surprised", 1.0)])
    brow = weights_of(drive(arkit, frames=silence(200), performance=Performance(cues=track.cues)))[
        :, indices("browOuterUpLeft")[0]
    ]
    assert brow[:100].max() < 0.01 and brow[150:].min() > 0.5


def test_a_live_choice_holds_until_the_track_s_next_cue(arkit):
    track = EmotionTrack([EmotionCue(0.0, "happy"), EmotionCue(3.0, "surprised")])
    driver = AvatarDriver(generic(arkit), None, Recital(silence(250)), performance=Performance(cues=track.cues))
    second = np.zeros(50 * HOP, np.float32)
    driver.feed(second)
    driver.set_emotion("angry", 1.0, 0.2)
    angry = weights_of(driver.feed(second))[-1]
    later = [driver.feed(second) for _ in range(3)][-1]
    surprised = weights_of(later)[-1]
    down, up = indices("browDownLeft", "browOuterUpLeft")
    assert angry[down] > 0.5 and angry[indices("mouthSmileLeft")[0]] < 0.05
    assert surprised[up] > 0.5 and surprised[down] < 0.05


def test_keyframes_have_the_last_word_and_the_rest_goes_on(arkit):
    keys = (Key(1.0, 0.7), Key(2.0, 0.7))
    performance = Performance(curves=(Curve("browInnerUp", keys), Curve("headYaw", (Key(1.0, 15.0),))))
    still = DriverSettings(blinks=False)
    plain, keyed = drive(arkit, still), drive(arkit, still, performance=performance)
    brow, others = indices("browInnerUp")[0], np.arange(52) != indices("browInnerUp")[0]
    assert np.allclose(weights_of(keyed)[51:99, brow], 0.7, atol=1e-6)
    assert np.degrees(keyed[50].neck_pose[1]) == pytest.approx(15.0, abs=0.5)
    assert np.array_equal(weights_of(keyed)[:, others], weights_of(plain)[:, others])
    assert keyed[20] == plain[20] and keyed[-1] == plain[-1]


def test_a_performance_brings_its_own_seed_and_dials(arkit):
    performance = Performance(5, {"liveliness": 0.2})
    assert drive(arkit, DriverSettings(seed=1), performance=performance) == drive(
        arkit, DriverSettings(seed=5, liveliness=0.2)
    )


def test_mouth_opening_makes_the_mouth_open_wider(arkit):
    wide, usual, none = (
        default_lips().opening_mm(weights_of(drive(arkit, DriverSettings(mouth_opening=g)))).max()
        for g in (1.4, 1.0, 0.0)
    )
    assert wide > usual > none


def test_calm_delays_no_closure(arkit):
    lively, calm = (weights_of(drive(arkit, DriverSettings(calm=s))) for s in (0.0, 1.0))
    gaps = default_lips().opening_mm(calm)
    for k in np.flatnonzero(FRAMES.closure > 0):
        assert gaps[k] < 0.5, "the very pose that the model closes is closed"
    assert np.abs(np.diff(calm, n=2, axis=0)).mean() < np.abs(np.diff(lively, n=2, axis=0)).mean()


def test_heads_with_another_basis_move_through_their_map_alone():
    rng = np.random.default_rng(0)
    other = ArkitMap(*(rng.normal(0, 0.3, (52, n)).astype(np.float32) for n in (100, 3, 3, 3)), n_shape=300)
    pose = drive(other)[N // 2]
    assert pose.expression.shape == (100,) and pose.shape.shape == (300,)
    assert np.allclose(pose.expression, pose.blendshape_weights @ other.expression, atol=1e-5)
    assert np.allclose(pose.jaw_pose, pose.blendshape_weights @ other.jaw, atol=1e-5)


def test_a_driver_made_for_the_generic_head_is_the_usual_one(arkit):
    head, _ = open_head()
    driver = AvatarDriver(DrivenFace.of(head, arkit), DriverSettings(emotion="happy"), Recital(FRAMES))
    samples = np.zeros(60 * HOP, np.float32)
    assert driver.feed(samples) == drive(arkit, DriverSettings(emotion="happy"))[:56]


def test_a_head_that_names_no_lips_is_driven_all_the_same(arkit):
    head, _ = open_head()
    bare = replace(head, regions={})
    driver = AvatarDriver(DrivenFace.of(bare, arkit), None, Recital(FRAMES))
    assert len(driver.feed(np.zeros(10 * HOP, np.float32))) == 6


def test_heads_without_turning_eyes_get_moderate_gaze_weights(arkit):
    still = ArkitMap(arkit.expression, arkit.jaw, np.zeros((52, 3)), np.zeros((52, 3)))
    look = indices(*(n for n in NAMES if n.startswith("eyeLook")))
    assert 0 < weights_of(drive(still, frames=silence(250)))[:, look].max() < 0.6


@pytest.mark.parametrize(
    "bad",
    [{"emotion": "glad"}, {"intensity": 2.0}, {"transition_s": -1.0}, {"mouth_opening": 9.0}, {"calm": -0.1},
     {"gate_db": 3.0}, {"liveliness": float("nan")}, {"variety": 1.5}, {"emphasis": -1.0},
     {"emotion_over_speech": 2.0}],
)  # fmt: skip
def test_bad_settings_are_refused(bad):
    with pytest.raises(UserError):
        DriverSettings(**bad)


def test_another_head_takes_over_in_the_middle_of_a_word(arkit):
    """As the live application changes avatars: voice, feeling and motion go on, pose by pose."""
    settings = DriverSettings(emotion="happy", seed=3)
    whole = drive(arkit, settings)
    driver = AvatarDriver(generic(arkit), settings, Recital(FRAMES))
    half = HOP * (N // 2)
    poses = driver.feed(np.zeros(half, np.float32))
    driver.face = generic(replace(arkit, expression=2 * arkit.expression))
    poses += driver.feed(np.zeros(N * HOP - half, np.float32)) + driver.finish()
    assert np.array_equal(weights_of(poses), weights_of(whole))
    assert np.allclose(poses[-1].expression, 2 * whole[-1].expression, atol=1e-6)


def test_a_held_expression_eases_in_on_top_of_the_emotion_and_out_again(arkit):
    brow = indices("browOuterUpLeft")
    driver = AvatarDriver(generic(arkit), DriverSettings(blinks=False), Recital(silence(400)))
    rest = weights_of(driver.feed(np.zeros(100 * HOP, np.float32)))[-1, brow]
    driver.settings = replace(driver.settings, expression="surprised", expression_amount=0.8)
    held = weights_of(driver.feed(np.zeros(100 * HOP, np.float32)))[:, brow]
    assert held[0] < held[-1] / 4 and held[-1] > rest + 0.2 and (np.abs(np.diff(held, axis=0)) < 0.2).all()
    driver.settings = replace(driver.settings, expression=None)
    assert abs(weights_of(driver.feed(np.zeros(100 * HOP, np.float32)))[-1, brow] - rest) < 0.05
    with pytest.raises(UserError, match="unknown emotion"):
        DriverSettings(expression="nonsense")


def test_the_real_driver_changes_heads_within_a_pose():
    """What was loaded beforehand is only exchanged: far less than the 20 ms of a pose, so that nothing is skipped."""
    head, arkit = open_head()
    driver = AvatarDriver(DrivenFace.of(head, arkit))
    tone = np.sin(np.arange(16000) * 0.05).astype(np.float32) * 0.2
    before = driver.feed(tone)
    other = DrivenFace.of(head, replace(arkit, residual_mm=1.0))
    begun_s = time.thread_time()
    driver.face = other
    assert time.thread_time() - begun_s < 0.02
    after = driver.feed(tone)
    assert after[0].stream_time_s == pytest.approx(before[-1].stream_time_s + driver.hop_s)
