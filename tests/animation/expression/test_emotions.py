from __future__ import annotations

import json

import numpy as np
import pytest

from animation.expression.emotions import (
    EMOTIONS,
    FEELINGS,
    EmotionCue,
    EmotionState,
    EmotionTrack,
    emotion_weights,
    feeling_name,
)
from animation.expression.named import expression_label, expression_weights
from animation.speech.prosody import Prosody
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, indices

RATE = 50.0
SILENT, SPEAKING = Prosody(), Prosody(activity=1.0, energy=0.6)


def run(state: EmotionState, seconds: float, prosody: Prosody = SILENT, start_s: float = 0.0) -> np.ndarray:
    times = start_s + (np.arange(round(seconds * RATE)) + 0.5) / RATE
    return np.stack([state.step(t, prosody).weights for t in times])


def started(emotion: str, seed: int = 0, intensity: float = 1.0) -> EmotionState:
    state = EmotionState(seed, RATE)
    state.set(emotion, intensity)
    return state


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_stays_near_its_prototype_but_is_no_frozen_mask(emotion):
    course = run(started(emotion), 20)
    full = emotion_weights(emotion)
    on = full > 0.3
    assert np.abs(course.mean(0)[on] / full[on] - 1).max() < 0.35
    assert np.all(course.std(0)[on] > 0.01)
    assert np.abs(np.diff(course, axis=0)).max() < 0.02, "no jumps"
    nearest = [min(EMOTIONS, key=lambda e: np.linalg.norm(w - emotion_weights(e))) for w in course[::50]]
    assert set(nearest) == {emotion}


def test_variety_is_how_far_it_goes():
    def spread(variety: float) -> float:
        state = EmotionState(0, RATE, variety)
        state.set("angry")
        return float(run(state, 24).std(0).sum())

    assert spread(0.0) < spread(0.5) < spread(1.0)


def test_eyes_follow_the_mouth_of_a_smile_and_surprise_is_faster_than_sadness():
    def arrival(emotion: str, name: str) -> float:
        state = started("neutral")
        run(state, 0.5)
        state.set(emotion, 1.0, 0.5)
        course = run(state, 1.2, start_s=0.5)[:, indices(name)[0]]
        return float(np.argmax(course > 0.5 * course.max())) / RATE

    assert 0.05 < arrival("happy", "cheekSquintLeft") - arrival("happy", "mouthSmileLeft") < 0.25
    assert arrival("surprised", "browInnerUp") < arrival("sad", "browInnerUp")


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_onsets_take_a_fifth_to_half_a_second(emotion):
    state = started("neutral")
    run(state, 0.5)
    state.set(emotion, 1.0, 0.5)
    course = run(state, 1.5, start_s=0.5)
    full = emotion_weights(emotion)
    strongest = int(full.argmax())
    begun, done = (np.argmax(course[:, strongest] > share * full[strongest]) / RATE for share in (0.05, 0.9))
    assert 0.1 <= done - begun <= 0.5


def test_another_feeling_is_announced_once_and_its_strength_is_not():
    state = started("neutral")
    run(state, 0.5)
    turns = []
    for k in range(100):
        state.set("happy", min(0.2 + k / 50, 1.0), 0.5)
        turns.append(state.step(0.5 + k / RATE, SILENT).turning)
    assert turns[0] and sum(turns) == 1


def test_seeds_differ_above_the_mouth_only():
    a, b = run(started("angry", 5), 12, SPEAKING), run(started("angry", 6), 12, SPEAKING)
    mouth = [k for k, name in enumerate(NAMES) if name.startswith(("mouth", "jaw"))]
    brow = indices("browDownLeft")[0]
    assert np.array_equal(a[:, mouth], b[:, mouth])
    assert np.abs(a[:, brow] - b[:, brow]).max() > 0.02


def test_a_voice_that_moves_the_feeling_moves_its_strength():
    def smile(gain: float) -> float:
        state = started("happy", intensity=0.6)
        last = [state.step(k / RATE, SILENT, gain) for k in range(150)][-1]
        return float(last.weights[indices("mouthSmileLeft")[0]])

    assert smile(0.6) < smile(1.0) < smile(1.4)


def test_how_well_the_mouth_holds_over_speech_can_be_chosen():
    jaw = indices("jawOpen")[0]

    def speaking(over_speech: float) -> float:
        state = started("surprised")
        return float(np.mean([state.step(k / RATE, SPEAKING, 1.0, over_speech).weights[jaw] for k in range(150)][50:]))

    assert speaking(0.0) < speaking(0.5) < speaking(1.0)


def test_anger_shows_its_lower_teeth_when_it_speaks_and_smiles_keep_their_corners():
    lower, smile = indices("mouthLowerDownLeft", "mouthSmileLeft")
    angry, happy = started("angry"), started("happy")
    assert run(angry, 2, SPEAKING)[-50:, lower].mean() > 0.25
    quiet, speaking = run(happy, 2.0), run(happy, 2.0, SPEAKING, 2.0)
    assert speaking[-50:, smile].mean() > 0.85 * quiet[-50:, smile].mean()


@pytest.mark.parametrize(
    ("emotion", "shape"),
    [
        ("happy", "cheekSquintLeft"),
        ("sad", "mouthFrownLeft"),
        ("sad", "browInnerUp"),
        ("surprised", "browOuterUpLeft"),
        ("afraid", "mouthStretchLeft"),
        ("disgusted", "noseSneerLeft"),
        ("angry", "browDownLeft"),
        ("contempt", "mouthDimpleLeft"),
    ],
)
@pytest.mark.parametrize("intensity", [0.5, 1.0])
def test_speech_does_not_erase_what_names_a_feeling(emotion, shape, intensity):
    (at,) = indices(shape)
    quiet = run(started(emotion, intensity=intensity), 3.0)
    speaking = run(started(emotion, intensity=intensity), 3.0, SPEAKING)
    assert speaking[50:, at].mean() > 0.75 * quiet[50:, at].mean()


@pytest.mark.parametrize("name", FEELINGS[len(EMOTIONS) :])
def test_every_named_expression_lives_too(name):
    course, apex = run(started(name), 6), emotion_weights(name)
    assert np.array_equal(apex, expression_weights(name))
    shown = (apex > 0.2) & (apex < 0.8)
    assert np.abs(course.mean(0)[shown] / apex[shown] - 1).max(initial=0) < 0.3
    assert not course[:, apex == 0].any()
    assert np.abs(np.diff(course, axis=0)).max() < 0.02, "no jumps"


def test_expressions_yield_to_speech_and_follow_one_another():
    state = started("laugh")
    jaw, smile = indices("jawOpen", "mouthSmileLeft")
    quiet, speaking = run(state, 2.0), run(state, 2.0, SPEAKING, 2.0)
    assert speaking[-50:, jaw].mean() < 0.3 * quiet[:, jaw].mean()
    assert speaking[-50:, smile].mean() > 0.6 * quiet[:, smile].mean()
    state.set("angry", 1.0, 0.5)
    course = run(state, 1.5, SPEAKING, 4.0)
    assert np.abs(np.diff(np.concatenate([speaking[-1:], course]), axis=0)).max() < 0.12
    assert course[-1, smile] < 0.01


@pytest.mark.parametrize("spelling", ["smile_sly", "Sly smile", "smile-sly", " SMIRK ", "sly_smile"])
def test_names_are_understood_in_any_spelling(spelling):
    assert feeling_name(spelling) == "smile_sly"
    assert np.array_equal(emotion_weights(spelling), emotion_weights("smile_sly"))


def test_names_are_unique_in_every_spelling():
    assert len(set(FEELINGS)) == len(FEELINGS) == 71
    assert all(feeling_name(name) == name == feeling_name(expression_label(name)) for name in FEELINGS)
    assert len({expression_label(name) for name in FEELINGS}) == len(FEELINGS)


def test_neutral_stays_neutral_in_silence():
    assert not run(started("neutral"), 20).any()


def test_a_change_takes_its_time_and_never_jumps():
    state = started("happy")
    before = run(state, 1.0)
    state.set("angry", 1.0, transition_s=0.5)
    course = run(state, 1.0, start_s=1.0)
    joined = np.concatenate([before[-1:], course])
    assert np.abs(np.diff(joined, axis=0)).max() < 0.12
    smile, brow = indices("mouthSmileLeft", "browDownLeft")
    assert course[3, smile] > 0.4 and course[-1, smile] < 0.01
    assert course[3, brow] < 0.3 and course[-1, brow] > 0.6
    assert np.abs(np.diff(joined, n=2, axis=0)).max() < 0.06, "and no kinks"


def test_a_change_may_be_changed_midway():
    state = started("happy")
    run(state, 0.5)
    state.set("surprised", 1.0, 0.6)
    half = run(state, 0.3, start_s=0.5)
    state.set("neutral", 1.0, 0.6)
    back = run(state, 1.0, start_s=0.8)
    assert np.abs(np.diff(np.concatenate([half[-1:], back]), axis=0)).max() < 0.1
    assert back[-1].max() < 0.01


def test_a_slider_that_keeps_moving_is_followed():
    state = started("neutral")
    shown = []
    for k in range(50):
        state.set("happy", k / 50, 0.4)
        shown.append(state.step(k / RATE, SILENT).weights[indices("mouthSmileLeft")[0]])
    assert shown[-1] > 0.4 * emotion_weights("happy")[indices("mouthSmileLeft")[0]]


def test_the_mouth_yields_to_speech_and_comes_back():
    state = started("surprised")
    jaw, brow = indices("jawOpen", "browOuterUpLeft")
    quiet = run(state, 2.0)
    speaking = run(state, 2.0, SPEAKING, 2.0)
    again = run(state, 2.0, SILENT, 4.0)
    assert speaking[-50:, jaw].mean() < 0.3 * quiet[:, jaw].mean()
    assert speaking[-50:, brow].mean() > 0.7 * quiet[:, brow].mean()
    assert again[-25:, jaw].mean() > 0.7 * quiet[:, jaw].mean()


def test_stresses_show_on_the_brows():
    state = EmotionState(1, RATE)
    brows = indices("browInnerUp", "browOuterUpLeft")
    raised = 0
    for k in range(1500):
        prosody = Prosody(1.0, 0.5, accent=1.0 if k % 50 == 0 else 0.0)
        raised = max(raised, state.step(k / RATE, prosody).weights[brows].min())
    assert 0.08 < raised < 0.6


def test_questions_raise_the_brows():
    state = EmotionState(1, RATE)
    state.step(0.0, Prosody(0.5, 0.3, question=True))
    assert 0.2 < run(state, 0.8)[:, indices("browOuterUpLeft")[0]].max() < 0.7


def test_seeds_reproduce():
    assert np.array_equal(run(started("sad", 5), 10), run(started("sad", 5), 10))
    assert not np.array_equal(run(started("sad", 5), 10), run(started("sad", 6), 10))


@pytest.mark.parametrize(
    "text",
    [
        "0 neutral 1\n1.5 happy 0.8\n3 sad\n",
        "time_s,emotion,intensity\n0,neutral,1\n# a remark\n\n3,sad,1\n1.5,Happy,0.8\n",
        "0;neutral;1\n1.5;happy;0.8\n3;sad;1",
        json.dumps([[0, "neutral", 1], [1.5, "happy", 0.8], [3, "sad"]]),
        json.dumps({"cues": [{"time_s": 0, "emotion": "neutral"}, {"time_s": 1.5, "emotion": "happy", "intensity": 0.8},
                             {"time_s": 3, "emotion": "sad"}]}),
    ],
)  # fmt: skip
def test_tracks_are_read(tmp_path, text):
    path = tmp_path / "track.txt"
    path.write_text(text)
    track = EmotionTrack.read(path)
    assert [(c.time_s, c.emotion, c.intensity) for c in track.cues] == [
        (0.0, "neutral", 1.0), (1.5, "happy", 0.8), (3.0, "sad", 1.0),
    ]  # fmt: skip
    assert track.at(1.49).emotion == "neutral" and track.at(1.5).emotion == "happy" and track.at(99).emotion == "sad"


def test_tracks_name_expressions_too(tmp_path):
    path = tmp_path / "track.csv"
    path.write_text("0 smirk\n1.5, Sly smile, 0.5\n2 wink_right 1\n")
    assert [c.emotion for c in EmotionTrack.read(path).cues] == ["smile_sly", "smile_sly", "wink_right"]


def test_before_the_first_cue_there_is_none():
    assert EmotionTrack([EmotionCue(1.0, "happy")]).at(0.5) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no emotions"),
        ("1 joyous 0.5", "line 1.*unknown emotion 'joyous'.*joyful.*happy"),
        ("0 happy 0.5\nsoon sad 1", "line 2.*time_s must be a number"),
        ("0 happy 7", "line 1.*intensity must lie in 0..1"),
        ("0 happy nan", "intensity must lie in 0..1"),
        ("-1 happy 1", "time_s must be 0 or more"),
        ("0 happy 1 2 3", "line 1.*expected"),
        ("happy", "line 1.*expected"),
        ("[[0, \"happy\"", "not valid JSON"),
        ("[[0]]", "row 1.*expected"),
        ("[{\"emotion\": \"happy\"}]", "row 1.*time_s must be a number"),
        ("[3]", "row 1.*expected"),
    ],
)  # fmt: skip
def test_bad_tracks_end_in_one_clear_line(tmp_path, text, message):
    path = tmp_path / "track.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        EmotionTrack.read(path)
    assert "\n" not in str(caught.value) and "track.csv" in str(caught.value)


def test_missing_or_binary_track(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        EmotionTrack.read(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match="not a text file"):
        EmotionTrack.read(tmp_path / "b.csv")


@pytest.mark.parametrize("bad", [("glad", 1.0, 0.5), ("happy", 1.2, 0.5), ("happy", -0.1, 0.5), ("happy", 1.0, -1.0)])
def test_bad_emotions_are_refused(bad):
    with pytest.raises(UserError):
        EmotionState(0, RATE).set(*bad)
