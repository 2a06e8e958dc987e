"""The application's settings: typed, versioned, saved, observed, undone; free of Qt."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from platformdirs import user_cache_path, user_config_path

from animation.data.expressions import EXPRESSIONS
from animation.driver import DriverSettings
from animation.emotion import FEELINGS
from app.live.level import VoiceSettings
from app.live.outputs import OutputSettings
from avatar.camera import PRESETS, Framing

__all__ = ["LOOK_FIELDS", "Preset", "Settings", "Store", "cache_folder", "load_settings", "settings_path"]

VERSION = 1

Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]


class Preset(Struct, frozen=True):
    """A named look: what it changes, by field name of `Settings`."""

    name: str
    values: dict[str, Any]


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that is remembered. Defaults are what a first start shows."""

    version: int = VERSION
    theme: Literal["system", "light", "dark"] = "system"

    avatar: str | None = None
    """Name or file; None is the default avatar."""
    emotion: str = "neutral"
    intensity: Unit = 0.8
    transition_s: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.6
    expression: str | None = None
    expression_amount: Unit = 0.8

    source: Literal["device", "none"] = "device"
    device: str | None = None
    """Key of the microphone; None is the system's default."""
    audio_file: str | None = None
    """What the play button plays; None is the sample."""
    gain_db: Annotated[float, Meta(ge=-24.0, le=24.0)] = 0.0
    muted: bool = False
    gate: bool = False
    gate_db: Annotated[float, Meta(ge=-60.0, le=-10.0)] = -48.0
    monitor: bool = False

    blinks: bool = True
    gaze: bool = True
    head: bool = True
    mouth_gain: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    head_gain: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    smoothing: Unit = 0.5

    camera: str = "portrait"
    yaw_deg: Annotated[float, Meta(ge=-180.0, le=180.0)] = 0.0
    """Added to the framing's own."""
    pitch_deg: Annotated[float, Meta(ge=-60.0, le=60.0)] = 0.0
    zoom: Annotated[float, Meta(ge=0.4, le=6.0)] = 1.0
    pan: tuple[float, float] = (0.0, 0.0)
    """Metres to the picture's right and up."""
    background: Literal["colour", "image", "transparent"] = "colour"
    background_colour: Colour | None = None
    """None follows the theme."""
    background_image: str | None = None

    picture: str = "window"
    """`window`, or a size such as 512x512."""
    backend: str = "auto"
    max_gaussians: int = 0
    """A fixed level of detail; 0 adapts."""

    folder: str | None = None
    """Where recordings go; None is the user's folder of videos."""
    record_format: Literal["mp4", "mov", "webm", "png"] = "mp4"
    record_fps: int = 0
    """Images a second of a recording; 0 keeps the time of every image."""
    record_quality: Literal["draft", "standard", "high"] = "standard"

    vmc: bool = False
    vmc_target: str = "127.0.0.1:39539"
    livelink: bool = False
    livelink_target: str = "127.0.0.1:11111"
    virtual_camera: bool = False

    collapsed: tuple[str, ...] = ("motion", "expressions", "picture", "outputs")
    presets: tuple[Preset, ...] = ()

    @property
    def voice(self) -> VoiceSettings:
        """For the audio thread."""
        return VoiceSettings(self.gain_db, self.muted, self.gate, self.gate_db)

    @property
    def driver(self) -> DriverSettings:
        """For the driver."""
        return DriverSettings(
            emotion=self.emotion,
            intensity=self.intensity,
            transition_s=self.transition_s,
            blinks=self.blinks,
            gaze=self.gaze,
            head=self.head,
            mouth_gain=self.mouth_gain,
            head_gain=self.head_gain,
            smoothing=self.smoothing,
        )

    @property
    def outputs(self) -> OutputSettings:
        """For the outputs thread."""
        return OutputSettings(
            self.vmc_target if self.vmc else None,
            self.livelink_target if self.livelink else None,
            self.virtual_camera,
        )

    @property
    def framing(self) -> Framing:
        """Of the camera: the preset with the user's own turn, zoom and shift."""
        base = PRESETS[self.camera]
        x, y, z = base.target
        return Framing(
            base.yaw_deg + self.yaw_deg,
            base.pitch_deg + self.pitch_deg,
            base.distance_m,
            (x - self.pan[0], y - self.pan[1], z),
            min(base.fov_deg / self.zoom, 60.0),
        )

    def checked(self) -> Settings:
        """With names that this version does not know put back to the defaults."""
        changes: dict[str, Any] = {}
        if self.emotion not in FEELINGS:
            changes["emotion"] = "neutral"
        if self.expression is not None and self.expression not in EXPRESSIONS:
            changes["expression"] = None
        if self.camera not in PRESETS:
            changes["camera"] = "portrait"
        return msgspec.structs.replace(self, **changes) if changes else self


LOOK_FIELDS = (
    "avatar", "emotion", "intensity", "transition_s", "expression", "expression_amount", "mouth_gain", "head_gain",
    "smoothing", "camera", "yaw_deg", "pitch_deg", "zoom", "pan", "background", "background_colour", "background_image",
)  # fmt: skip
"""What a preset holds."""

_NOT_UNDONE = frozenset({"collapsed", "version", "presets", "theme"})


def settings_path() -> Path:
    """The settings file; `GAUSSIAN_AVATAR_HOME` moves it."""
    home = os.environ.get("GAUSSIAN_AVATAR_HOME")
    folder = Path(home) if home else user_config_path("gaussian-avatar", appauthor=False)
    return folder / "settings.json"


def cache_folder() -> Path:
    """For what can be made again, such as thumbnails."""
    home = os.environ.get("GAUSSIAN_AVATAR_HOME")
    return Path(home) / "cache" if home else user_cache_path("gaussian-avatar", appauthor=False)


def load_settings(path: Path | None = None) -> tuple[Settings, str | None]:
    """The saved settings, and one line if they could not be used: then the file is kept aside and defaults hold."""
    path = path or settings_path()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Settings(), None
    except OSError as error:
        return Settings(), f"{path}: cannot be read ({error.strerror}); using the defaults"
    try:
        found = msgspec.json.decode(data, type=Settings)
        if found.version > VERSION:
            raise msgspec.ValidationError(f"made by a newer version ({found.version})")
        return found.checked(), None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        aside = path.with_suffix(".unusable.json")
        with contextlib.suppress(OSError):
            path.replace(aside)
        return Settings(), f"{path.name}: {error}; using the defaults, the old file is kept as {aside.name}"


class Store:
    """The settings in force: one value, replaced as a whole, observed, undone.

    For one thread, the owner's. Observers are called in the order of subscription, with the names that changed.
    """

    _MERGE_S = 0.8
    _DEPTH = 100

    def __init__(self, settings: Settings | None = None, path: Path | None = None) -> None:
        self._value = settings or Settings()
        self._path = path
        self._observers: list[Callable[[Settings, frozenset[str]], None]] = []
        self._undo: list[Settings] = []
        self._redo: list[Settings] = []
        self._last: tuple[frozenset[str], float] = (frozenset(), 0.0)

    @property
    def value(self) -> Settings:
        """The settings in force."""
        return self._value

    def subscribe(self, observer: Callable[[Settings, frozenset[str]], None]) -> Callable[[], None]:
        """Call `observer(settings, changed)` after every change; the result ends it."""
        self._observers.append(observer)

        def leave() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return leave

    def change(self, **changes: Any) -> None:
        """Replace some fields. Changes of the same fields in quick succession (a slider) are undone together.

        Raises:
            ValueError: for a value out of its range.
        """
        new = msgspec.structs.replace(self._value, **changes)
        try:
            msgspec.convert(msgspec.to_builtins(new), Settings)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        names = frozenset(n for n in changes if getattr(new, n) != getattr(self._value, n))
        if not names:
            return
        undone = names - _NOT_UNDONE
        if undone:
            now = time.monotonic()
            if self._last[0] != undone or now - self._last[1] > self._MERGE_S or not self._undo:
                self._undo.append(self._value)
                del self._undo[: -self._DEPTH]
            self._last = (undone, now)
            self._redo.clear()
        self._replace(new, names)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to do again."""
        return bool(self._redo)

    def undo(self) -> None:
        """Go back one change."""
        self._travel(self._undo, self._redo)

    def redo(self) -> None:
        """Take the last undo back."""
        self._travel(self._redo, self._undo)

    def keep_preset(self, name: str) -> None:
        """Remember the present look under a name; one of the same name is replaced."""
        look = {field: getattr(self._value, field) for field in LOOK_FIELDS}
        values = msgspec.json.decode(msgspec.json.encode(look))  # as it will be read back from the file
        others = tuple(p for p in self._value.presets if p.name != name)
        self.change(presets=(*others, Preset(name, values)))

    def apply_preset(self, name: str) -> None:
        """Take a look on, in one step that can be undone.

        Raises:
            KeyError: if there is none of this name.
        """
        preset = next((p for p in self._value.presets if p.name == name), None)
        if preset is None:
            raise KeyError(name)
        fields = msgspec.to_builtins(self._value) | {k: v for k, v in preset.values.items() if k in LOOK_FIELDS}
        try:
            wanted = msgspec.convert(fields, Settings).checked()
        except msgspec.ValidationError as error:
            raise ValueError(f"the preset {name!r} cannot be used: {error}") from error
        self._last = (frozenset(), 0.0)
        self.change(**{field: getattr(wanted, field) for field in LOOK_FIELDS})

    def drop_preset(self, name: str) -> None:
        """Forget a look."""
        self.change(presets=tuple(p for p in self._value.presets if p.name != name))

    def save(self) -> None:
        """Write the file, all or nothing.

        Raises:
            OSError: if it cannot be written.
        """
        path = self._path or settings_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self._value), indent=2))
        fresh.replace(path)

    def _travel(self, source: list[Settings], other: list[Settings]) -> None:
        if not source:
            return
        target = source.pop()
        other.append(self._value)
        kept = {name: getattr(self._value, name) for name in _NOT_UNDONE}
        target = msgspec.structs.replace(target, **kept)
        changed = frozenset(f for f in Settings.__struct_fields__ if getattr(target, f) != getattr(self._value, f))
        self._last = (frozenset(), 0.0)
        self._replace(target, changed)

    def _replace(self, new: Settings, changed: frozenset[str]) -> None:
        self._value = new
        for observer in tuple(self._observers):
            observer(new, changed)
