"""What is remembered: plain data with its ranges, and what other parts of the program take from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from animation.driver import DriverSettings
from animation.expression.emotions import FEELINGS
from animation.expression.named import EXPRESSIONS
from animation.seen_face import FaceFrom
from avatar.camera import PRESETS, Framing

__all__ = [
    "LEAST_GAUSSIANS",
    "LOOK_FIELDS",
    "VERSION",
    "FaceSettings",
    "OutputSettings",
    "Preset",
    "Settings",
    "VoiceSettings",
]

VERSION = 1
LEAST_GAUSSIANS = 12_000
"""Of an avatar that are drawn, however it was made; `Avatar.least_gaussians` may ask for more."""

Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]


@dataclass(frozen=True)
class VoiceSettings:
    """What happens to the sound before anything hears it."""

    gain_db: float = 0.0
    muted: bool = False
    gate: bool = False
    gate_db: float = -50.0
    """Sound below this level is silenced."""
    gate_hold_s: float = 0.25
    """How long the gate stays open after the last loud moment."""

    @property
    def gain(self) -> float:
        """As a factor; 0 when muted."""
        return 0.0 if self.muted else 10.0 ** (self.gain_db / 20)


@dataclass(frozen=True)
class OutputSettings:
    """What is sent where; all off unless asked for."""

    vmc: str | None = None
    """HOST:PORT of a VMC receiver."""
    livelink: str | None = None
    """HOST:PORT of a Live Link Face receiver."""
    virtual_camera: bool = False


@dataclass(frozen=True)
class FaceSettings:
    """What moves the face, and which camera sees it."""

    source: FaceFrom = "voice"
    camera: str | None = None
    """Key of the camera; None is the first."""


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
    transition_s: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.5
    follow_voice: bool = False
    expression: str | None = None
    expression_amount: Unit = 0.8

    source: Literal["device", "none"] = "device"
    device: str | None = None
    """Key of the microphone; None is the system's default."""
    channel: Annotated[int, Meta(ge=0, le=256)] = 0
    """Of the microphone, counted from 1; 0 takes those that speech is in."""
    audio_file: str | None = None
    """What the play button plays; None is the sample."""
    gain_db: Annotated[float, Meta(ge=-24.0, le=24.0)] = 0.0
    muted: bool = False
    gate: bool = False
    gate_db: Annotated[float, Meta(ge=-60.0, le=-10.0)] = -48.0
    monitor: bool = False
    lookahead_ms: Literal[70, 30, 10] = 70
    """How much sound after a moment the speech model waits for."""

    face_from: FaceFrom = "voice"
    webcam: str | None = None
    """Key of the webcam; None is the first."""

    blinks: bool = True
    gaze: bool = True
    head: bool = True
    mouth_opening: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    emphasis: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    emotion_over_speech: Unit = 0.5
    liveliness: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    personal: Unit = 1.0
    variety: Unit = 0.5
    calm: Unit = 0.5

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

    picture: Annotated[str, Meta(pattern="^(window|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$")] = "window"
    """`window`, or a size such as 512x512."""
    backend: Annotated[str, Meta(pattern="^(auto|gsplat|opengl|cpu|reference)$")] = "auto"
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
            expression=self.expression,
            expression_amount=self.expression_amount,
            blinks=self.blinks,
            gaze=self.gaze,
            head=self.head,
            mouth_opening=self.mouth_opening,
            emphasis=self.emphasis,
            emotion_over_speech=self.emotion_over_speech,
            liveliness=self.liveliness,
            personal=self.personal,
            variety=self.variety,
            follow_voice=self.follow_voice,
            calm=self.calm,
            lookahead_ms=self.lookahead_ms,
        )

    @property
    def face(self) -> FaceSettings:
        """For the face thread."""
        return FaceSettings(self.face_from, self.webcam)

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
        if 0 < self.max_gaussians < LEAST_GAUSSIANS:
            changes["max_gaussians"] = LEAST_GAUSSIANS
        return msgspec.structs.replace(self, **changes) if changes else self


LOOK_FIELDS = (
    "avatar", "emotion", "intensity", "transition_s", "follow_voice", "expression", "expression_amount",
    "mouth_opening", "emphasis", "emotion_over_speech", "liveliness", "personal", "variety", "calm", "camera",
    "yaw_deg", "pitch_deg", "zoom", "pan", "background", "background_colour", "background_image",
)  # fmt: skip
"""What a preset holds."""
