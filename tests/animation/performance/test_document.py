from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animation.driver import DriverSettings
from animation.expression.emotions import FEELINGS
from animation.expression.track import EmotionCue
from animation.performance.document import FORMAT, PARTS, Performance, Variation
from animation.performance.keyframes import CHANNELS, EASINGS, HEAD_ANGLES, Curve, Key
from avatar.errors import UserError

times = st.floats(0, 1000).map(lambda t: round(t, 3))
cues = st.builds(EmotionCue, times, st.sampled_from(FEELINGS), st.floats(0, 1), st.none() | st.floats(0, 5))
keys = st.builds(Key, times, st.floats(0, 1), st.sampled_from(list(EASINGS)))
curves = st.builds(
    Curve, st.sampled_from(CHANNELS), st.lists(keys, min_size=1, max_size=4).map(tuple),
    st.sampled_from(["replace", "add"]), st.floats(0, 1),
)  # fmt: skip
variations = st.builds(
    lambda start, length, seed, parts: Variation(start, start + length, seed, tuple(parts)),
    times, st.floats(0.1, 9), st.integers(0, 99), st.sets(st.sampled_from(PARTS), min_size=1),
)  # fmt: skip
performances = st.builds(
    Performance,
    st.integers(0, 2**31),
    st.fixed_dictionaries({}, optional={"liveliness": st.floats(0, 2), "blinks": st.booleans()}),
    st.lists(cues, max_size=3).map(tuple),
    st.lists(curves, max_size=3).map(tuple),
    st.lists(variations, max_size=2).map(tuple),
)


@given(performances)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(performance):
    assert Performance.from_json(performance.to_json()) == performance


def test_files_are_written_whole_and_read(tmp_path):
    performance = Performance(3, {"variety": 0.2}, (EmotionCue(1.0, "happy", 0.5),))
    performance.save(tmp_path / "new" / "edit.json")
    assert Performance.load(tmp_path / "new" / "edit.json") == performance
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["edit.json"]


def test_a_line_for_each_thing_and_nothing_that_goes_without_saying():
    text = Performance(
        cues=(EmotionCue(0.0, "neutral"), EmotionCue(1.5, "happy", 0.8)),
        curves=(Curve("headYaw", (Key(0.0, -5.0), Key(1.0, 5.0, "linear"))),),
    ).to_json()
    lines = text.splitlines()
    assert any('"emotion": "happy"' in line and '"intensity": 0.8' in line for line in lines)
    assert "transition_s" not in text and "blend_s" not in text and "smooth" not in text
    assert len(lines) < 16


def test_what_a_person_writes_by_hand_is_understood():
    performance = Performance.from_json(
        '{"format": "gaussian-avatar performance 1", "cues": [{"time_s": 1, "emotion": "Sly smile"}],'
        ' "curves": [{"channel": "headPitch", "keys": [[2, 5, "hold"], [1, 0]]}]}'
    )
    assert performance.cues[0].emotion == "Sly smile" and performance.curves[0].keys[0] == Key(1.0, 0.0)


def test_dials_and_seed_take_the_place_of_the_settings_own():
    settings_ = Performance(5, {"liveliness": 0.3, "gaze": False}).applied(DriverSettings(emotion="sad", variety=0.9))
    assert (settings_.seed, settings_.liveliness, settings_.gaze) == (5, 0.3, False)
    assert (settings_.emotion, settings_.variety) == ("sad", 0.9)


HEAD = f'{{"format": "{FORMAT}", '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ("{}", "missing required field `format`"),
        ('{"format": "something 2"}', "expected 'gaussian-avatar performance 1'"),
        (HEAD + '"sed": 3}', "unknown field `sed`"),
        (HEAD + '"seed": "x"}', r"Expected `int`, got `str` - at `\$.seed`"),
        (HEAD + '"seed": -3}', "0 or more"),
        (HEAD + '"dials": {"volume": 1}}', "unknown volume"),
        (HEAD + '"dials": {"liveliness": 9}}', "liveliness must lie in 0..2"),
        (HEAD + '"dials": {"liveliness": true}}', "must be a number"),
        (HEAD + '"dials": {"blinks": 1}}', "true or false"),
        (HEAD + '"cues": [{"time_s": 0, "emotion": "hapy"}]}', "did you mean happy"),
        (HEAD + '"cues": [{"time_s": -1, "emotion": "happy"}]}', "0 or more seconds"),
        (HEAD + '"curves": [{"channel": "jawOpen", "keys": [[1]]}]}', r"keys like \[1.5, 0.8\]"),
        (HEAD + '"curves": [{"channel": "jawOpen", "keys": [[1, "a"]]}]}', "keys like"),
        (HEAD + '"curves": [{"channel": "chin", "keys": [[1, 0]]}]}', "no such channel"),
        (HEAD + '"variations": [{"start_s": 3, "end_s": 2, "seed": 1}]}', "start_s < end_s"),
        (HEAD + '"variations": [{"start_s": 1, "end_s": 2, "seed": 1, "parts": ["nose"]}]}', "expected some of face"),
        (HEAD + '"dials": ' + '{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_bad_files_end_in_one_clear_line(tmp_path, text, message):
    path = tmp_path / "edit.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        Performance.load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        Performance.load(tmp_path / "none.json")


def test_head_angles_are_channels():
    assert set(HEAD_ANGLES) < set(CHANNELS) and len(CHANNELS) == 55
