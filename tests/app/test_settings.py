"""Settings: kept, checked, observed, undone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from app.settings import LEAST_GAUSSIANS, LOOK_FIELDS, Settings, Store, load_settings
from app.settings.files import save_settings
from avatar.camera import PRESETS


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    store = Store(path=path)
    store.change(emotion="happy", intensity=0.25, pan=(0.01, -0.02), device="ALSA: Mic", collapsed=("view",))
    store.keep_preset("Stage")
    store.save()
    loaded, problem = load_settings(path)
    assert problem is None
    assert loaded == store.value
    assert not list(path.parent.glob("*.new"))


def test_defaults_without_a_file(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.json") == (Settings(), None)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"intensity": 3}', '{"theme": "pink"}', '{"version": 99}', "\udcff", '{"pan": [1]}']
)
def test_a_file_that_cannot_be_used_is_kept_aside(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    settings, problem = load_settings(path)
    assert settings == Settings()
    assert problem is not None
    assert "\n" not in problem
    assert (tmp_path / "settings.unusable.json").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("picture", "huge"), ("picture", "0x0"), ("picture", 7), ("backend", "metal"), ("pan", [1]), ("device", 5)],
)
def test_a_bad_value_costs_no_other(tmp_path: Path, name: str, value: object) -> None:
    """And the next start is without a word."""
    path = tmp_path / "settings.json"
    path.write_bytes(msgspec.json.encode({name: value, "emotion": "sad", "avatar": "mine"}))
    settings, problem = load_settings(path)
    assert (settings.emotion, settings.avatar) == ("sad", "mine")
    assert getattr(settings, name) == getattr(Settings(), name)
    assert problem is not None
    assert name in problem
    save_settings(settings, path)
    assert load_settings(path) == (settings, None)


def test_less_detail_than_a_whole_picture_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"max_gaussians": 9000}')
    assert load_settings(path)[0].max_gaussians == LEAST_GAUSSIANS


def test_unknown_fields_and_names_are_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"gone": 1, "emotion": "hungry", "camera": "moon", "expression": "zzz", "gain_db": 6}')
    settings, problem = load_settings(path)
    assert problem is None
    assert (settings.emotion, settings.camera, settings.expression, settings.gain_db) == (
        "neutral",
        "portrait",
        None,
        6,
    )


def test_values_out_of_range_are_refused_and_nothing_changes() -> None:
    store = Store()
    for bad in ({"intensity": 1.5}, {"theme": "pink"}, {"background_colour": "red"}, {"zoom": 0.0}):
        with pytest.raises(ValueError, match=r"."):
            store.change(**bad)
    assert store.value == Settings()
    assert not store.can_undo


def test_observers_hear_what_changed() -> None:
    store = Store()
    heard: list[frozenset[str]] = []
    leave = store.subscribe(lambda settings, changed: heard.append(changed))
    store.change(emotion="sad", intensity=0.8)
    store.change(emotion="sad")
    leave()
    store.change(emotion="happy")
    assert heard == [frozenset({"emotion"})]


def test_undo_and_redo(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    store.change(emotion="sad")
    store.change(camera="face")
    store.change(theme="light")  # is not undone
    store.undo()
    assert (store.value.camera, store.value.emotion, store.value.theme) == ("portrait", "sad", "light")
    store.undo()
    assert store.value.emotion == "neutral"
    assert not store.can_undo
    store.undo()
    store.redo()
    store.redo()
    assert (store.value.camera, store.value.emotion) == ("face", "sad")
    assert not store.can_redo


def test_a_slider_is_undone_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("app.settings.store.time.monotonic", lambda: now[0])
    store = Store()
    for k in range(20):
        now[0] += 0.05
        store.change(intensity=k / 20)
    now[0] += 5
    store.change(intensity=1.0)
    store.undo()
    assert store.value.intensity == pytest.approx(0.95)
    store.undo()
    assert store.value.intensity == Settings().intensity


def test_presets_carry_the_look_only() -> None:
    store = Store()
    store.change(emotion="angry", zoom=2.0, pan=(0.1, 0.0), gain_db=6.0)
    store.keep_preset("Mean")
    store.change(emotion="happy", zoom=1.0, gain_db=-3.0)
    store.apply_preset("Mean")
    assert (store.value.emotion, store.value.zoom, store.value.pan, store.value.gain_db) == (
        "angry",
        2.0,
        (0.1, 0.0),
        -3.0,
    )
    store.undo()
    assert store.value.emotion == "happy"
    store.keep_preset("Mean")
    assert [p.name for p in store.value.presets] == ["Mean"]
    store.drop_preset("Mean")
    assert store.value.presets == ()
    with pytest.raises(KeyError):
        store.apply_preset("Mean")


def test_a_preset_with_nonsense_is_refused() -> None:
    encoded = b'{"presets": [{"name": "x", "values": {"zoom": "far", "gain_db": 3}}]}'
    store = Store(msgspec.json.decode(encoded, type=Settings))
    with pytest.raises(ValueError, match="cannot be used"):
        store.apply_preset("x")


def test_views_of_the_settings_are_valid() -> None:
    settings = Settings(yaw_deg=20, zoom=2.0, pan=(0.05, 0.1))
    assert settings.driver.emotion == "neutral"
    assert settings.voice.gain == 1.0
    framing = settings.framing
    assert framing.yaw_deg == 20
    assert framing.fov_deg == pytest.approx(PRESETS["portrait"].fov_deg / 2)
    assert framing.target[0] == pytest.approx(-0.05)
    assert set(LOOK_FIELDS) <= set(Settings.__struct_fields__)
