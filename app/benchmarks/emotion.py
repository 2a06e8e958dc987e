"""Whether a stranger could name what an avatar feels: emotions drawn as in a call, tracked, measured and told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS, emotion_weights
from animation.face import DrivenFace
from animation.lab.evaluation.emotion import (
    NORM_SOURCE,
    LinearClassifier,
    against_norms,
    confusion,
    displacements_mm,
    strength,
)
from animation.speech.audio import HOP_S, SAMPLE_RATE, resample
from animation.speech.stream import SpeechFrames, SpeechStream
from app.audio_file import open_audio
from app.sample_clip import sample_clip
from avatar import Avatar, Camera, FlameParams, open_avatar, open_renderer
from avatar.render import Renderer
from avatar.tracking.driving import DrivingModel
from avatar.tracking.face_points import FaceModel
from avatar.tracking.landmarker import FaceLandmarker

__all__ = ["FacesSeen", "draw_grid", "draw_strips", "evaluate_faces", "separability"]

Progress = Callable[[str, float], None]

LEVELS = (1.0, 0.5)
_PIXELS = 512
_CAMERA = "portrait"
_BACKGROUND = (0.86, 0.87, 0.89)
_TALK_S = 7.0
_SILENT_S = (0.9, 9.0)
"""From when to when a silent feeling is looked at: it has set in, and lives on."""
_APEX_S = 0.8
_BLINKING = 0.35
_TAUGHT = 2
"""Avatars that the classifier learns from; it is asked about the others."""


@dataclass(frozen=True, eq=False)
class FacesSeen:
    """What the tracker saw of one avatar, one row a picture."""

    avatar: str
    features: Float[np.ndarray, "n f"]
    """Relative to the avatar at rest, millimetres."""
    emotion: np.ndarray
    level: np.ndarray
    talking: np.ndarray
    missed: int
    """Pictures in which no face was found."""


def evaluate_faces(names: Sequence[str], per_kind: int = 6, progress: Progress = lambda text, share: None) -> dict:
    """Displacements, gradation and separability of the emotions.

    Args:
        names: avatars, the first two of which teach the classifier.
        per_kind: pictures of each avatar, emotion and level, talking and silent.

    Raises:
        UserError: if an avatar cannot be opened, or the face tracker's models cannot be had.
    """
    avatars = [open_avatar(name) for name in names]
    clip = _clip()
    seen = []
    with closing(open_renderer("auto")) as renderer:
        for number, avatar in enumerate(avatars):

            def tell(share: float, number: int = number, name: str = avatar.name) -> None:
                progress(f"{name}: drawing and tracking", (number + share) / len(avatars))

            seen.append(_see(avatar, renderer, clip, per_kind, tell))
    measured = {avatar.name: _measured(avatar) for avatar in avatars}
    return {
        "displacement_mm": measured,
        "norms": {"source": NORM_SOURCE, "avatars": {name: against_norms(m["1.0"]) for name, m in measured.items()}},
        "half_strength": {avatar.name: _gradation(avatar) for avatar in avatars},
        "separability": separability(seen),
        "missed_pictures": {faces.avatar: faces.missed for faces in seen},
    }


def _clip() -> Float32[np.ndarray, " n"]:
    audio = open_audio(sample_clip())
    sound = np.concatenate(list(audio.blocks()))
    return resample(sound, audio.sample_rate)[: round(_TALK_S * SAMPLE_RATE)]


def _poses(
    face: DrivenFace, emotion: str, level: float, sound: Float32[np.ndarray, " n"], speech: _Heard, seed: int
) -> list[FlameParams]:
    driver = AvatarDriver(face, DriverSettings(emotion=emotion, intensity=level, seed=seed), speech)
    return driver.feed(sound) + driver.finish()


class _Heard:
    """A speech model that has heard a sound once and says the same of it to every driver."""

    def __init__(self, sound: Float32[np.ndarray, " n"]) -> None:
        stream = SpeechStream.open()
        self.hop_s, self.lookahead_ms = stream.hop_s, stream.lookahead_ms
        self._frames, self._last = stream.feed(sound), stream.finish()

    def feed(self, samples: Float32[np.ndarray, " n"]) -> SpeechFrames:
        return self._frames

    def finish(self) -> SpeechFrames:
        return self._last

    def reset(self) -> None:
        """Nothing is left to forget."""


def _chosen(poses: Sequence[FlameParams], start_s: float, end_s: float, count: int) -> list[FlameParams]:
    """Poses evenly over a stretch of time, none of them in a blink."""
    inside = [p for p in poses if start_s <= p.stream_time_s <= end_s and not _blinks(p)]
    return [inside[k] for k in np.linspace(0, len(inside) - 1, count).round().astype(int)]


def _blinks(pose: FlameParams) -> bool:
    weights = pose.blendshape_weights
    return weights is not None and float(weights[0] + weights[7]) > 2 * _BLINKING


def _see(
    avatar: Avatar,
    renderer: Renderer,
    clip: Float32[np.ndarray, " n"],
    per_kind: int,
    progress: Callable[[float], None],
) -> FacesSeen:
    face, tracker, model = DrivenFace.of(avatar.head, avatar.arkit), FaceLandmarker(), DrivingModel.shipped()
    camera = Camera.preset(_CAMERA, _PIXELS, _PIXELS)
    silence = np.zeros(round((_SILENT_S[1] + 1) * SAMPLE_RATE), np.float32)
    sounds = {True: (clip, _Heard(clip)), False: (silence, _Heard(silence))}

    def features(pose: FlameParams) -> Float[np.ndarray, " f"] | None:
        found = tracker.faces(_picture(renderer, avatar, pose, camera))
        return model.features(found[0]).values if found else None

    rest = features(avatar.arkit.params(np.zeros(52, np.float32)))
    if rest is None:
        raise RuntimeError(f"{avatar.name}: the tracker sees no face in its picture at rest")
    rows, labels, missed = [], [], 0
    kinds = [(e, level, talks) for e in range(len(EMOTIONS)) for level in LEVELS for talks in (False, True)]
    for number, (emotion, level, talks) in enumerate(kinds):
        progress(number / len(kinds))
        poses = _poses(face, EMOTIONS[emotion], level, *sounds[talks], seed=number)
        for pose in _chosen(poses, *((0.5, _TALK_S - 0.3) if talks else _SILENT_S), per_kind):
            values = features(pose)
            if values is None:
                missed += 1
                continue
            rows.append(values - rest)
            labels.append((emotion, level, talks))
    emotions, levels, talking = (np.array(column) for column in zip(*labels, strict=True))
    return FacesSeen(avatar.name, np.stack(rows), emotions, levels, talking, missed)


def _kinds(seen: Sequence[FacesSeen]) -> Int[np.ndarray, " n"]:
    """Faces that are alike but for the emotion: as strong, and talking or not."""
    return np.concatenate([2 * (s.level == LEVELS[0]) + s.talking for s in seen])


def separability(seen: Sequence[FacesSeen]) -> dict:
    """How well a linear classifier that learned on the first two avatars names the emotions of the others.

    It knows an emotion by its half and its whole, silent and talking; `right_by_one_mean` is what one that knows it by
    the mean of them all would say.
    """
    taught, asked = seen[:_TAUGHT], seen[_TAUGHT:]
    if not asked:
        return {}
    features, emotions = (np.concatenate([getattr(s, column) for s in taught]) for column in ("features", "emotion"))
    classify, by_one_mean = LinearClassifier(features, emotions, _kinds(taught)), LinearClassifier(features, emotions)
    named = {s.avatar: classify(s.features) for s in asked}
    named_by_one_mean = {s.avatar: by_one_mean(s.features) for s in asked}
    table: dict = {"taught_by": [s.avatar for s in taught], "asked_about": [s.avatar for s in asked]}
    for level in LEVELS:
        for talks in (False, True):
            of = [(s, (s.level == level) & (s.talking == talks)) for s in asked]
            shown = np.concatenate([s.emotion[rows] for s, rows in of])
            said, said_by_one_mean = (
                np.concatenate([by[s.avatar][rows] for s, rows in of]) for by in (named, named_by_one_mean)
            )
            table[f"{level} {'talking' if talks else 'silent'}"] = {
                "right": round(float((shown == said).mean()), 3),
                "right_by_one_mean": round(float((shown == said_by_one_mean).mean()), 3),
                "confusion": confusion(shown, said).round(2).tolist(),
            }
    table["emotions"] = list(EMOTIONS)
    table["by_avatar"] = {s.avatar: round(float((named[s.avatar] == s.emotion).mean()), 3) for s in asked}
    return table


def _measured(avatar: Avatar) -> dict[str, dict[str, dict[str, float]]]:
    """Level -> emotion -> region -> millimetres."""
    model = FaceModel(avatar.head, avatar.arkit)
    rest = _landmarks(model, np.zeros(52, np.float32))
    table: dict[str, dict[str, dict[str, float]]] = {}
    for level in LEVELS:
        faces = {e: displacements_mm(rest, _landmarks(model, emotion_weights(e, level))) for e in EMOTIONS[1:]}
        table[str(level)] = {
            e: {region: round(float(mm), 2) for region, mm in regions.items()} for e, regions in faces.items()
        }
    return table


def _gradation(avatar: Avatar) -> dict[str, float]:
    """How strong each emotion looks at 0.5, relative to 1."""
    model = FaceModel(avatar.head, avatar.arkit)
    rest = _landmarks(model, np.zeros(52, np.float32))
    half, full = (
        {e: float(strength(rest, _landmarks(model, emotion_weights(e, level)))) for e in EMOTIONS[1:]}
        for level in (0.5, 1.0)
    )
    return {e: round(half[e] / full[e], 2) for e in half}


def _landmarks(model: FaceModel, weights: Float32[np.ndarray, "52"]) -> Float[np.ndarray, "468 3"]:
    return model.pose(np.zeros(model.n_shape), weights, derivatives=False).points


def _picture(renderer: Renderer, avatar: Avatar, pose: FlameParams, camera: Camera) -> Image.Image:
    bgra: UInt8[np.ndarray, "h w 4"] = renderer.draw(avatar, pose, camera, _BACKGROUND)
    return Image.fromarray(bgra[..., 2::-1].copy())


def draw_grid(out: Path, names: Sequence[str], pixels: int = 224, camera: str = "face") -> None:
    """Every avatar and emotion, at full and at half intensity, as it has just set in, with the head's posture."""
    columns = [e for e in EMOTIONS if e != "neutral"]
    rows = [(name, level) for name in names for level in LEVELS]
    sheet = _Sheet(len(columns), len(rows), pixels, [*columns], [f"{n} {level:g}" for n, level in rows])
    with closing(open_renderer("auto")) as renderer:
        for row, (name, level) in enumerate(rows):
            avatar = open_avatar(name)
            face = DrivenFace.of(avatar.head, avatar.arkit)
            for column, emotion in enumerate(columns):
                pose = _apex(face, emotion, level)
                sheet.put(column, row, _picture(renderer, avatar, pose, Camera.preset(camera, pixels, pixels)))
    sheet.save(out)


def _apex(face: DrivenFace, emotion: str, level: float) -> FlameParams:
    driver = AvatarDriver(face, DriverSettings(emotion=emotion, intensity=level, blinks=False))
    return driver.feed(np.zeros(round(_APEX_S * SAMPLE_RATE), np.float32))[-1]


def draw_strips(
    out: Path,
    name: str,
    emotions: Sequence[str] = EMOTIONS[1:],
    times_s: Sequence[float] = (0, 0.2, 0.35, 0.6, 1, 2, 3.5, 5),
) -> None:
    """Each emotion over time, from the moment it is picked."""
    pixels, lead_s = 200, 1.0
    avatar = open_avatar(name)
    face, camera = DrivenFace.of(avatar.head, avatar.arkit), Camera.preset("face", pixels, pixels)
    sheet = _Sheet(len(times_s), len(emotions), pixels, [f"{t:g} s" for t in times_s], list(emotions))
    with closing(open_renderer("auto")) as renderer:
        for row, emotion in enumerate(emotions):
            for column, pose in enumerate(_onset(face, emotion, lead_s, times_s)):
                sheet.put(column, row, _picture(renderer, avatar, pose, camera))
    sheet.save(out)


def _onset(face: DrivenFace, emotion: str, lead_s: float, times_s: Sequence[float]) -> Iterator[FlameParams]:
    driver = AvatarDriver(face, DriverSettings(seed=2))
    driver.feed(np.zeros(round((lead_s + 0.1) * SAMPLE_RATE), np.float32))
    driver.set_emotion(emotion, 1.0)
    poses = driver.feed(np.zeros(round((max(times_s) + 0.2) * SAMPLE_RATE), np.float32))
    for time_s in times_s:
        yield poses[round(time_s / HOP_S)]


class _Sheet:
    """Pictures in rows and columns with names along two edges."""

    _LEFT, _TOP = 96, 24

    def __init__(self, columns: int, rows: int, pixels: int, above: Sequence[str], beside: Sequence[str]) -> None:
        self._pixels = pixels
        self._image = Image.new("RGB", (self._LEFT + columns * pixels, self._TOP + rows * pixels), (255, 255, 255))
        draw, font = ImageDraw.Draw(self._image), ImageFont.load_default(14)
        for k, text in enumerate(above):
            draw.text((self._LEFT + k * pixels + 6, 4), text, (30, 30, 36), font)
        for k, text in enumerate(beside):
            draw.text((6, self._TOP + k * pixels + pixels // 2 - 8), text, (30, 30, 36), font)

    def put(self, column: int, row: int, picture: Image.Image) -> None:
        self._image.paste(picture, (self._LEFT + column * self._pixels, self._TOP + row * self._pixels))

    def save(self, out: Path) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self._image.save(out, quality=88)
